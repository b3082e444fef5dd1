#pragma once

#include <cstdint>

#include "instruction_set.h"
#include "omni/kernels/decode_format.h"
#include "short_panels.h"

namespace omni::kernels {

inline constexpr std::int64_t kDecodeBlock = 32;  // outputs that lie together in a DecodeWeight

// Raw views of a decode_linear. A lane is 32 bits: one, two or four inputs; a row of inputs fills `steps`.
struct DecodeLinearCall {
  DecodeFormat format = DecodeFormat::fp32;
  bool bf16 = false;  // of x and y
  std::int64_t rows = 0, inputs = 0, steps = 0;
  std::int64_t first_output = 0, last_output = 0;  // those that are wanted
  const void* x = nullptr;                         // [rows, inputs]
  float* lanes = nullptr;  // prepared x: [rows, steps], or twice as many rows for int8 weights
  // By the processor's tiles: lanes of two bf16 or four int8 in a row of inputs, and of how many bf16 an input is the sum (of
  // three, which hold 24 bits, with a weight of bf16 numbers, products are those of fp32); lanes are [rows, pieces, tile_lanes].
  std::int64_t tile_lanes = 0, pieces = 1;
  float* row_scales = nullptr;    // [rows], of int8 weights
  const float* panels = nullptr;  // [blocks, steps, 32], of a weight in twelve bits null
  ShortPanels short_panels;       // of one of fp32 or bf16, whose steps fill whole units
  const float* scales = nullptr;
  const std::int32_t* sums = nullptr;
  const float* bias = nullptr;  // [last_output - first_output] or null
  void* y = nullptr;            // [rows, last_output - first_output]
};

struct DecodeLinearKernels {
  // x -> lanes, row by row; all before any block.
  void (*prepare)(const DecodeLinearCall&, std::int64_t first_row, std::int64_t last_row);
  void (*multiply)(const DecodeLinearCall&, std::int64_t first_block, std::int64_t last_block);
  // A block of a weight as lanes of two bf16 inputs each, [steps of two inputs, 32]; of fp32 weights short ones alone, of
  // int8 the whole numbers without their scales.
  void (*expand)(const DecodeLinearCall&, std::int64_t block, float* lanes);
};
inline constexpr std::int64_t expanded_steps(const DecodeLinearCall& call) {
  return call.short_panels.units != nullptr  ? 2 * call.short_panels.count
         : call.format == DecodeFormat::int8 ? 2 * call.steps
                                             : call.steps;
}

// An fp32 weight of other numbers than those of bf16 would need pieces of its own.
inline constexpr bool fits_tiles(const DecodeLinearCall& call) {
  return call.format != DecodeFormat::fp32 || call.short_panels.units != nullptr;
}
// The lanes that tiles want of a weight's inputs; 0 where its panels do not divide into tiles or it does not fit them.
inline constexpr std::int64_t tile_lanes_of(const DecodeLinearCall& call) {
  if (!fits_tiles(call)) return 0;
  const std::int64_t lanes = call.format == DecodeFormat::int8 ? call.steps : expanded_steps(call);
  return lanes % 16 == 0 ? lanes : 0;
}
inline constexpr std::int64_t tile_pieces_of(const DecodeLinearCall& call) {
  return call.format == DecodeFormat::fp32 ? 3 : 1;
}

// Rows of lanes that a row of inputs is: of int8 weights its upper and its lower bytes.
inline constexpr std::int64_t lanes_per_row(const DecodeLinearCall& call) {
  return call.format == DecodeFormat::int8 ? 2 : call.pieces;
}

DecodeLinearKernels decode_linear_kernels(InstructionSet level = bf16_instruction_set());

}  // namespace omni::kernels
