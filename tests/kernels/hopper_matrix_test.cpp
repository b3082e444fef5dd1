#include "cuda/hopper_matrix.h"

#include <gtest/gtest.h>

#include <set>

namespace omni::cuda {
namespace {

// PTX ISA 9.0, "Matrix Descriptor Format" (wgmma): bits 13-0 matrix-descriptor-encode(address), 29-16 of the leading
// dimension's byte offset, 45-32 of the stride dimension's, 51-49 base offset, 63-62 the swizzle (1: 128 bytes), where
// encode(x) is (x & 0x3FFFF) >> 4.
TEST(HopperMatrix, DescriptorHasTheManualsFields) {
  const std::uint64_t bits = swizzled_descriptor(0x2c400, 0x4000, 0x400).bits;
  EXPECT_EQ(bits & 0x3fff, 0x2c40u);
  EXPECT_EQ(bits >> 14 & 3, 0u);
  EXPECT_EQ(bits >> 16 & 0x3fff, 0x400u);
  EXPECT_EQ(bits >> 32 & 0x3fff, 0x40u);
  EXPECT_EQ(bits >> 49 & 7, 0u);
  EXPECT_EQ(bits >> 62, 1u);
  EXPECT_EQ(swizzled_descriptor(0x40000 + 0x400, 0, 0).bits & 0x3fff, 0x40u);  // 18 bits of an address count
}

// CU_TENSOR_MAP_SWIZZLE_128B: in each 1,024 bytes the 16-byte piece p of the 128-byte row r lies at piece p xor r, and
// the bytes of a piece stay together.
TEST(HopperMatrix, SwizzleExchangesThePiecesOfARow) {
  for (const std::uint32_t atom : {0u, 1024u, 7u * 1024u})
    for (std::uint32_t row = 0; row < 8; ++row)
      for (std::uint32_t piece = 0; piece < 8; ++piece)
        for (std::uint32_t byte = 0; byte < 16; ++byte)
          EXPECT_EQ(swizzled(atom + row * 128 + piece * 16 + byte),
                    atom + row * 128 + (piece ^ row) * 16 + byte);
}

std::uint32_t address_of(MatrixDescriptor d) { return static_cast<std::uint32_t>(d.bits & 0x3fff) << 4; }
std::uint32_t leading_of(MatrixDescriptor d) {
  return static_cast<std::uint32_t>(d.bits >> 16 & 0x3fff) << 4;
}
std::uint32_t stride_of(MatrixDescriptor d) { return static_cast<std::uint32_t>(d.bits >> 32 & 0x3fff) << 4; }

// The manual's canonical layouts with 128-byte swizzle, in numbers of 16 bits: K-major ((8, m), (16, k)) :
// ((64, stride), (1, 16)); MN-major ((64, n), (8, k)) : ((1, leading), (64, stride)). What a descriptor leads to must be
// where the tile says that the number lies.
template <class Tile>
void expect_descriptors_lead_to_the_tile(std::uint32_t address) {
  const Tile tile{address};
  std::set<std::uint32_t> places;
  for (int row = 0; row < Tile::kRows; ++row)
    for (int column = 0; column < Tile::kColumns; ++column) {
      const std::uint32_t place = tile.at(row, column);
      places.insert(place);
      const auto r = static_cast<std::uint32_t>(row), c = static_cast<std::uint32_t>(column);

      const MatrixDescriptor by_columns = tile.columns(row / 64 * 64, column / 16);
      const std::uint32_t own = r % 64;
      ASSERT_EQ(
          swizzled(address_of(by_columns) + own / 8 * stride_of(by_columns) + own % 8 * 128 + c % 16 * 2),
          place)
          << row << " " << column;

      const MatrixDescriptor by_rows = tile.rows(row / 16);
      const std::uint32_t k = r % 16;
      ASSERT_EQ(swizzled(address_of(by_rows) + c / 64 * leading_of(by_rows) + k / 8 * stride_of(by_rows) +
                         k % 8 * 128 + c % 64 * 2),
                place)
          << row << " " << column;
    }
  EXPECT_EQ(places.size(), static_cast<std::size_t>(Tile::kRows) * Tile::kColumns);
  EXPECT_EQ(*places.begin(), address);
  EXPECT_EQ(*places.rbegin(), address + Tile::kBytes - 2);
}

TEST(HopperMatrix, DescriptorsLeadToTheTilesNumbers) {
  expect_descriptors_lead_to_the_tile<PanelTile<128, 128>>(1024);
  expect_descriptors_lead_to_the_tile<PanelTile<128, 64>>(5 * 1024);
  expect_descriptors_lead_to_the_tile<PanelTile<64, 128>>(100 * 1024);
  expect_descriptors_lead_to_the_tile<PanelTile<64, 64>>(0);
}

}  // namespace
}  // namespace omni::cuda
