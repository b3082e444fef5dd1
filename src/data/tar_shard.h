#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "object_entry.h"

namespace omni::data {

// Writes an uncompressed ustar archive and tells where each member's bytes lie. Throws Error(io).
class TarShardWriter {
 public:
  explicit TarShardWriter(const std::filesystem::path& path);
  ~TarShardWriter();
  TarShardWriter(const TarShardWriter&) = delete;
  TarShardWriter& operator=(const TarShardWriter&) = delete;

  ByteRange add(const std::string& member, std::span<const std::byte> bytes);
  void finish();  // flushed to disk
  std::uint64_t bytes_written() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string shard_name(int shard);  // "shard-00000.tar"

}  // namespace omni::data
