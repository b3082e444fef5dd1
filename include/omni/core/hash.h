#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string_view>

namespace omni {

// The hash_string() (omni/core/random.h) of bytes that come in pieces.
class StreamHash {
 public:
  StreamHash();
  ~StreamHash();
  StreamHash(const StreamHash&) = delete;
  StreamHash& operator=(const StreamHash&) = delete;

  void add(std::span<const std::byte> bytes);
  void add(std::string_view text);
  std::uint64_t value() const;  // of what was added so far

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The hash_string() of a file's bytes, which are read piece by piece. Throws Error(io) for a file
// that is missing, cannot be read or is a folder.
std::uint64_t hash_file(const std::filesystem::path& path);

}  // namespace omni
