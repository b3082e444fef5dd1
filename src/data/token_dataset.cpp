#include "omni/data/token_dataset.h"

#include <algorithm>
#include <system_error>

#include "omni/core/error.h"
#include "omni/data/tokenizer_fingerprint.h"

namespace omni::data {
namespace {

std::vector<std::filesystem::path> shard_files(const std::filesystem::path& folder) {
  std::error_code code;
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder, code)) {
    if (entry.path().extension() == ".safetensors") files.push_back(entry.path());
  }
  if (code) fail(ErrorKind::io, "opening the token shards in ", folder, ": ", code.message(), ".");
  if (files.empty()) {
    fail(ErrorKind::input, "opening the token shards in ", folder,
         ": it holds no .safetensors file. Make shards with `omni data tokenize`.");
  }
  std::sort(files.begin(), files.end());
  return files;
}

// Fills in what the shards before did not hold.
void merge(TokenShardInfo& all, const TokenShardInfo& next) {
  if (all.text_vocabulary == 0) {
    all.text_vocabulary = next.text_vocabulary;
    all.text_tokenizer = next.text_tokenizer;
  }
  if (all.image_vocabulary == 0) {
    all.image_vocabulary = next.image_vocabulary;
    all.image_tokenizer = next.image_tokenizer;
    all.image_grid_side = next.image_grid_side;
  }
  if (all.geometry_vocabulary == 0) {
    all.geometry_vocabulary = next.geometry_vocabulary;
    all.colour_vocabulary = next.colour_vocabulary;
    all.geometry_codes = next.geometry_codes;
    all.geometry_grid_side = next.geometry_grid_side;
    all.geometry_lengths = next.geometry_lengths;
    all.colour_codes = next.colour_codes;
    all.colour_grid_side = next.colour_grid_side;
    all.shape_tokenizer = next.shape_tokenizer;
  }
  all.views_per_object = std::max(all.views_per_object, next.views_per_object);
}

}  // namespace

TokenDataset TokenDataset::open(std::span<const std::filesystem::path> folders) {
  std::vector<TokenShard> shards;
  for (const std::filesystem::path& folder : folders) {
    for (const std::filesystem::path& file : shard_files(folder)) shards.emplace_back(file);
  }
  return TokenDataset(std::move(shards));
}

TokenDataset::TokenDataset(std::vector<TokenShard> shards) : shards_(std::move(shards)), starts_{0} {
  if (shards_.empty()) fail(ErrorKind::usage, "opening token shards: none are given.");
  for (const TokenShard& shard : shards_) {
    const std::string difference = tokenizer_difference(info_, shard.info());
    if (!difference.empty()) {
      fail(
          ErrorKind::input, "opening the token shard ", shard.name(), ": ", difference,
          " is another one than that of the shards before. Tokenise all data sets with the same tokenizers.");
    }
    merge(info_, shard.info());
    starts_.push_back(starts_.back() + shard.size());
  }
}

TokenDataset::Place TokenDataset::at(std::int64_t object) const {
  ensure(object >= 0 && object < size(), "the token data set has no object ", object);
  const auto after = std::upper_bound(starts_.begin(), starts_.end(), object);
  const auto shard = static_cast<std::size_t>(after - starts_.begin()) - 1;
  return {&shards_[shard], object - starts_[shard]};
}

void require_tokenizers(const TokenDataset& dataset, const std::filesystem::path& text,
                        const std::filesystem::path& image, const std::filesystem::path& shape) {
  const TokenShardInfo& info = dataset.info();
  const auto require = [&](std::string_view name, const std::filesystem::path& path, std::int32_t vocabulary,
                           std::uint64_t stored) {
    if (path.empty() || vocabulary == 0 || tokenizer_fingerprint(path) == stored) return;
    fail(ErrorKind::input, "checking the token shards of ", dataset.shards().front().name(),
         ": they were not made by the ", name, " tokenizer ", path,
         ". Tokenise the data with it, or give the tokenizer that made them.");
  };
  require("text", text, info.text_vocabulary, info.text_tokenizer);
  require("image", image, info.image_vocabulary, info.image_tokenizer);
  require("shape", shape, info.geometry_vocabulary, info.shape_tokenizer);
}

}  // namespace omni::data
