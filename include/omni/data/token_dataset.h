#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
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
  // The tokenizers of all shards together: of each modality as in the first shard that holds it.
  const TokenShardInfo& info() const { return info_; }

 private:
  std::vector<TokenShard> shards_;
  std::vector<std::int64_t> starts_;
  TokenShardInfo info_;
};

// Throws Error(input) that tells which tokenizer is foreign, where the data set's tokens were made by other
// tokenizers than the given ones (a file for text, folders for images and shapes; an empty path is not
// compared).
void require_tokenizers(const TokenDataset& dataset, const std::filesystem::path& text,
                        const std::filesystem::path& image, const std::filesystem::path& shape);

}  // namespace omni::data
