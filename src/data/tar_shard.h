#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "object_entry.h"

namespace omni::data {

// Writes an uncompressed ustar archive (POSIX.1-1988) and tells where each member's bytes lie. Throws
// Error(io).
class TarShardWriter {
 public:
  explicit TarShardWriter(const std::filesystem::path& path);
  ~TarShardWriter();
  TarShardWriter(const TarShardWriter&) = delete;
  TarShardWriter& operator=(const TarShardWriter&) = delete;

  // Throws Error(input) for a name that the format cannot hold: above 100 bytes, unless it can be cut at a
  // slash into at most 155 bytes before and at most 100 after it.
  ByteRange add(const std::string& member, std::span<const std::byte> bytes);
  void finish();  // flushed to disk
  std::uint64_t bytes_written() const { return written_; }

 private:
  [[noreturn]] void fail_system(const char* action) const;
  void write(std::span<const std::byte> bytes);

  std::filesystem::path path_;
  int descriptor_ = -1;
  std::uint64_t written_ = 0;
};

std::string shard_name(int shard);  // "shard-00000.tar"

}  // namespace omni::data
