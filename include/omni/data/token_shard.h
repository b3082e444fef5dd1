#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "omni/core/safetensors.h"
#include "omni/data/object_source.h"
#include "omni/tokenizers/token_format.h"

namespace omni::data {

// What a shard holds. Modalities that are absent in `tokens` are absent in its objects.
struct TokenShardInfo {
  tokenizers::TokenFormat tokens;
  std::int64_t views_per_object = 0;
  std::uint64_t source = 0;  // fingerprint of the objects
  std::string source_name;
  double variation = 0;  // of the source: above 0, no object differs from another in one attribute alone

  friend bool operator==(const TokenShardInfo&, const TokenShardInfo&) = default;
};

// One object in the tokenizers' own numbering.
struct TokenObject {
  struct CaptionTokens {
    std::vector<std::int32_t> tokens;
    CaptionKind kind = CaptionKind::partial;
    friend bool operator==(const CaptionTokens&, const CaptionTokens&) = default;
  };
  struct View {
    std::int32_t azimuth = 0, elevation = 0;  // bins
    std::vector<std::int32_t> codes;          // row by row
    friend bool operator==(const View&, const View&) = default;
  };
  std::string id, class_name;
  std::map<std::string, std::string> attributes;
  Split split = Split::train;
  std::vector<CaptionTokens> captions;
  std::vector<View> views;
  std::vector<std::int32_t> geometry, colour;
  std::int32_t size = 0;              // bin
  std::array<std::int32_t, 3> box{};  // bins of x, y, z

  friend bool operator==(const TokenObject&, const TokenObject&) = default;
};

// Writes a shard atomically. Throws Error(internal) for an object that does not fit `info`, Error(io).
void write_token_shard(const std::filesystem::path& path, const TokenShardInfo& info,
                       std::span<const TokenObject> objects);

// A memory-mapped shard. Opening checks every shape, offset and code, and the content's hash: a shard that
// opens can be read without further checks. Thread-safe.
class TokenShard {
 public:
  // Throws Error(io) or Error(input).
  explicit TokenShard(const std::filesystem::path& path);
  // The same over bytes that outlive this object; `name` appears in errors.
  TokenShard(std::span<const std::byte> bytes, std::string name);

  const std::string& name() const { return file_.name(); }
  const TokenShardInfo& info() const { return info_; }
  std::uint64_t fingerprint() const { return fingerprint_; }  // of its content
  std::int64_t size() const { return count_; }

  // 0 <= object < size(), and likewise for captions and views.
  std::int64_t caption_count(std::int64_t object) const;
  std::int64_t caption_length(std::int64_t object, std::int64_t caption) const;
  CaptionKind caption_kind(std::int64_t object, std::int64_t caption) const;
  std::vector<std::int32_t> caption(std::int64_t object, std::int64_t caption) const;
  TokenObject::View view(std::int64_t object, std::int64_t view) const;
  // Azimuth, elevation.
  std::pair<std::int32_t, std::int32_t> view_bins(std::int64_t object, std::int64_t view) const;
  std::vector<std::int32_t> geometry(std::int64_t object) const;
  std::vector<std::int32_t> colour(std::int64_t object) const;
  std::int32_t size_bin(std::int64_t object) const;
  std::array<std::int32_t, 3> box_bins(std::int64_t object) const;
  Split split(std::int64_t object) const;
  std::string_view id(std::int64_t object) const;
  std::string_view class_name(std::int64_t object) const;
  // Throws Error(input) if they are not JSON.
  std::map<std::string, std::string> attributes(std::int64_t object) const;
  TokenObject object(std::int64_t object) const;

 private:
  // Codes of one to four bytes, unaligned; wide enough for their vocabulary.
  struct Codes {
    const std::byte* data = nullptr;
    std::size_t width = 1;
    std::int32_t at(std::int64_t index) const;
    std::vector<std::int32_t> slice(std::int64_t first, std::int64_t count) const;
  };
  void open();
  void read_info();
  void check_content();
  Codes codes(const std::string& tensor, std::vector<std::int64_t> shape, std::int64_t vocabulary) const;
  Codes offsets(const std::string& tensor, std::int64_t count, std::int64_t last) const;
  std::string_view text(const Codes& offsets, const Codes& bytes, std::int64_t object) const;
  [[noreturn]] void reject(const std::string& reason) const;

  SafetensorsFile file_;
  TokenShardInfo info_;
  std::uint64_t fingerprint_ = 0;
  std::int64_t count_ = 0;
  Codes caption_offsets_, caption_kind_, token_offsets_, tokens_;
  Codes azimuth_, elevation_, views_, geometry_, colour_, size_, box_, split_;
  Codes id_offsets_, id_bytes_, class_offsets_, class_bytes_, attribute_offsets_, attribute_bytes_;
};

}  // namespace omni::data
