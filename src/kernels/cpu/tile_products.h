#pragma once

#include <cstdint>

#include "decode_linear_kernels.h"

namespace omni::kernels {

// Of a row group, and of a block of the weight; a product of both is four of the processor's tiles (Intel AMX: sixteen
// rows of sixteen fp32 sums).
inline constexpr std::int64_t kTileGroupRows = 32;
inline constexpr std::int64_t kTileInputs = 32;  // that a tile of sixteen rows of bf16 holds

// Products of many rows with a weight as decode_linear has it, on tiles of bf16, summed in fp32. Inputs are the sum of so
// many pieces of bf16: of three, which hold 24 bits, with a weight of bf16 numbers, products are those of fp32.
struct TileProducts {
  DecodeLinearCall weight;  // whose rows, x, bias, y, bf16 are those of the product; lanes are not used
  int pieces = 1;
  std::uint16_t* tiles = nullptr;  // [row groups, steps, pieces, 2, 16, 32]

  std::int64_t groups() const { return (weight.rows + kTileGroupRows - 1) / kTileGroupRows; }
  std::int64_t steps() const { return (weight.inputs + kTileInputs - 1) / kTileInputs; }
  std::int64_t group_words() const { return steps() * pieces * kTileGroupRows * kTileInputs; }
};

struct TileProductKernels {
  // x -> tiles, before any product.
  void (*lay)(const TileProducts&, std::int64_t first_group, std::int64_t last_group);
  // All rows times some blocks of the weight -> y.
  void (*multiply)(const TileProducts&, std::int64_t first_block, std::int64_t last_block);
};

// With the processor's tiles, which has_matrix_tiles() tells of, or the same spelt out, for tests.
TileProductKernels tile_product_kernels(bool on_tiles);

}  // namespace omni::kernels
