#pragma once

#include <cstdint>

#include "attention_tiles.h"

// How warp-group products (wgmma) find matrices of 16-bit numbers in shared memory: plain arithmetic, for
// kernels and for tests on the processor alike. PTX ISA 9.0, "Asynchronous Warpgroup Level Matrix Shared
// Memory Layout" and "Matrix Descriptor Format".
namespace omni::cuda {

// A tile lies in panels of 64 columns: 128 bytes per row, eight rows to a swizzle atom of 1,024 bytes, in which
// the 16-byte pieces of row r change places by r % 8. That is what a bulk copy with 128-byte swizzle writes.
constexpr int kPanelColumns = 64;
constexpr int kPanelRowBytes = 128;
constexpr int kSwizzleAtomRows = 8;
constexpr int kSwizzleAtomBytes = kSwizzleAtomRows * kPanelRowBytes;

// The swizzle is a function of the address alone: bits 4 to 6 take an exclusive or with bits 7 to 9.
OMNI_HOST_AND_DEVICE constexpr std::uint32_t swizzled(std::uint32_t address) {
  return address ^ (address >> 3 & 0x70u);
}

struct MatrixDescriptor {
  std::uint64_t bits;
};

// address: of the first row, in the window of shared memory; leading and stride: the bytes from one panel to
// the next where a product walks over columns of several, and those from eight rows to the next eight.
OMNI_HOST_AND_DEVICE constexpr MatrixDescriptor swizzled_descriptor(std::uint32_t address,
                                                                    std::uint32_t leading_bytes,
                                                                    std::uint32_t stride_bytes) {
  constexpr std::uint64_t kSwizzle128 = 1;
  return {std::uint64_t{(address & 0x3ffffu) >> 4} | std::uint64_t{(leading_bytes & 0x3ffffu) >> 4} << 16 |
          std::uint64_t{(stride_bytes & 0x3ffffu) >> 4} << 32 | kSwizzle128 << 62};
}

// A tile of kRowCount rows of kColumnCount 16-bit numbers; its address is a multiple of kSwizzleAtomBytes.
template <int kRowCount, int kColumnCount>
struct PanelTile {
  static constexpr int kRows = kRowCount;
  static constexpr int kColumns = kColumnCount;
  static constexpr int kPanels = kColumnCount / kPanelColumns;
  static constexpr int kPanelBytes = kRowCount * kPanelRowBytes;
  static constexpr int kBytes = kPanels * kPanelBytes;
  static_assert(kRowCount % kSwizzleAtomRows == 0 && kColumnCount % kPanelColumns == 0, "whole atoms");

  std::uint32_t address;

  // Where the number of that place lies.
  OMNI_HOST_AND_DEVICE constexpr std::uint32_t at(int row, int column) const {
    return swizzled(address + static_cast<std::uint32_t>(column / kPanelColumns * kPanelBytes +
                                                         row * kPanelRowBytes + column % kPanelColumns * 2));
  }
  // Columns [16 step, 16 step + 16) of the rows from `row` on, which a product sums over: a factor "K-major".
  OMNI_HOST_AND_DEVICE constexpr MatrixDescriptor columns(int row, int step) const {
    const int panel = step / 4, piece = step % 4;
    return swizzled_descriptor(
        address + static_cast<std::uint32_t>(panel * kPanelBytes + row * kPanelRowBytes + piece * 32), 0,
        kSwizzleAtomBytes);
  }
  // Rows [16 step, 16 step + 16), all columns, of which a product sums over the rows: "MN-major".
  OMNI_HOST_AND_DEVICE constexpr MatrixDescriptor rows(int step) const {
    return swizzled_descriptor(address + static_cast<std::uint32_t>(16 * step * kPanelRowBytes), kPanelBytes,
                               kSwizzleAtomBytes);
  }
};

}  // namespace omni::cuda
