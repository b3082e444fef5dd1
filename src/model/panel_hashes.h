#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "omni/core/safetensors.h"

namespace omni::model {

// What tells one state of weights files from another, without reading them whole.
std::string stamp_of_files(const std::vector<std::filesystem::path>& files);

// The header of a safetensors file, or of what claims to be one; its length does not count.
std::string header_of(const std::filesystem::path& file, std::uint64_t size);

// The last tensor of a file of packed weights: hash_string() of its header, then of the bytes of each tensor before it, in
// their order, by which verification finds what changed on the disk.
class PanelHashes {
 public:
  static constexpr const char* kName = "hashes";
  static TensorDescription description(std::size_t tensors);

  void add(std::string_view bytes);          // of each tensor
  void set_header(std::string_view header);  // without its length
  std::span<const std::byte> bytes() const { return std::as_bytes(std::span(values_)); }

 private:
  std::vector<std::int64_t> values_ = {0};
};

}  // namespace omni::model
