#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "omni/data/token_shard.h"

namespace omni::data {

// Token shards of one or several data sets as one list of objects. The data sets need not hold the same
// modalities. Thread-safe.
class TokenDataset {
 public:
  // Every *.safetensors file of each folder, in name order. Throws Error(io) for a missing folder,
  // Error(input) for one without shards, for a broken shard, and where two shards come from different
  // tokenizers (it says which).
  static TokenDataset open(std::span<const std::filesystem::path> folders);
  explicit TokenDataset(std::vector<TokenShard> shards);

  struct Place {
    const TokenShard* shard;
    std::int64_t object;  // inside the shard
  };
  std::int64_t size() const { return starts_.back(); }
  Place at(std::int64_t object) const;
  const std::vector<TokenShard>& shards() const { return shards_; }
  // Of all shards together.
  const tokenizers::TokenFormat& tokens() const { return tokens_; }
  std::uint64_t fingerprint() const;  // of the shards' content, in their order

 private:
  std::vector<TokenShard> shards_;
  std::vector<std::int64_t> starts_;
  tokenizers::TokenFormat tokens_;
};

// Throws Error(input) that names the first shard whose tokens were made by other tokenizers than those of
// `tokens`, and which tokenizer is foreign. `owner`: whose tokens they are, for the message ("the bundle
// out/a").
void require_tokenizers(const TokenDataset& dataset, const tokenizers::TokenFormat& tokens,
                        std::string_view owner);

}  // namespace omni::data
