#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace omni {

// Whole numbers in a NumPy array.
struct IntegerArray {
  std::vector<std::int64_t> shape;
  std::vector<std::int64_t> values;  // row-major
};

// Reads the bytes of a .npy file (format 1 to 3, numpy.lib.format): signed and unsigned integers of 1 to 8
// bytes, either byte order, C order. `name` appears in errors. Throws Error(input) for anything else, for a
// size that the bytes do not have, and for a value beyond int64.
IntegerArray parse_npy(std::span<const std::byte> bytes, const std::string& name);

// The bytes of a one-dimensional .npy file of int32.
std::vector<std::byte> to_npy(std::span<const std::int32_t> values);

}  // namespace omni
