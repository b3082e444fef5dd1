#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "omni/checkpoint/manifest.h"
#include "omni/core/safetensors.h"

namespace omni::checkpoint {

// A stretch of a tensor in row-major order. A whole tensor may lie in pieces in the files of many ranks, so
// neither their number nor how they had shared it matters to who reads it.
struct Piece {
  std::string name;                  // of the tensor: "<parameter>.value", "<parameter>.first_moment", ...
  std::vector<std::int64_t> shape;   // of the whole tensor
  std::int64_t first = 0;            // element of it
  std::span<const std::byte> bytes;  // fp32; not owned

  std::int64_t count() const { return static_cast<std::int64_t>(bytes.size() / sizeof(float)); }
};
inline constexpr const char* kValueSuffix = ".value";

// Where the share of one of several ranks begins that divide a tensor of so many elements equally; that of
// `rank` = `ranks` is its end.
std::int64_t share_begin(std::int64_t elements, int rank, int ranks);

// "shard-00002-of-00004.safetensors"
std::string shard_name(int rank, int ranks);

// A safetensors file that appears whole or not at all; at most one piece of each tensor. Throws Error(io).
StoredFile write_shard(const std::filesystem::path& path, std::span<const Piece> pieces);

// The pieces lie in the file. Throws Error(input) where one is of another type, or cannot be part of the
// tensor that it says it is part of.
std::vector<Piece> read_shard(const SafetensorsFile& file);

}  // namespace omni::checkpoint
