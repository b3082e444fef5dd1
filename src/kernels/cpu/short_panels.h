#pragma once

#include <cstdint>

namespace omni::kernels {

// Panels of bf16 numbers in twelve bits each, without loss. Of a weight's numbers the upper bytes, sign and most of the
// exponent, are few: a block has a table of its sixteen commonest, and a number is its lower byte and the place in that
// table. Those whose upper byte is not there are listed apart.

// A unit is four inputs of a block's 32 outputs. 64 bytes: the lower bytes of the first two inputs; 64: of the other two;
// 64: places in the table, those of the first two inputs in the lower halves of the bytes. A step of two inputs is 64
// words, output by output two; in what order their bytes lie, short_place() tells.
inline constexpr std::int64_t kUnitInputs = 4, kUnitWords = 128, kUnitBytes = 192, kStepWords = 64;
inline constexpr std::int64_t kShortTable = 16;

// Where the lower half of a vector register's 128-bit parts interleaves to the first 32 words, the upper one to the others.
constexpr std::int64_t short_place(std::int64_t word) {
  return word % 32 / 8 * 16 + word / 32 * 8 + word % 8;
}

struct ShortException {
  std::int32_t place;  // in the block: 128 * unit + 64 * step of the unit + word
  std::int32_t bits;   // as bf16
};

struct ShortBlock {
  const std::uint8_t* units = nullptr;
  std::int64_t count = 0;  // of units
  const std::uint8_t* table = nullptr;
  const ShortException *exceptions = nullptr, *end = nullptr;  // in order
};

struct ShortPanels {
  const std::uint8_t* units = nullptr;  // [blocks, units, 192]; null: there are none
  std::int64_t count = 0;               // of units in a block
  const std::uint8_t* tables = nullptr;
  const std::int32_t* starts = nullptr;  // of a block's exceptions, and where the last one's end
  const ShortException* exceptions = nullptr;

  ShortBlock block(std::int64_t index) const {
    return {units + index * count * kUnitBytes, count, tables + index * kShortTable,
            exceptions + starts[index], exceptions + starts[index + 1]};
  }
};

}  // namespace omni::kernels
