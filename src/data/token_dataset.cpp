#include "omni/data/token_dataset.h"

#include <algorithm>
#include <system_error>

#include "omni/core/error.h"
#include "omni/core/random.h"

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
    const std::string difference = tokenizers::difference(tokens_, shard.info().tokens);
    if (!difference.empty()) {
      fail(
          ErrorKind::input, "opening the token shard ", shard.name(), ": ", difference,
          " is another one than that of the shards before. Tokenise all data sets with the same tokenizers.");
    }
    tokens_ = tokenizers::join(std::move(tokens_), shard.info().tokens);
    starts_.push_back(starts_.back() + shard.size());
  }
}

std::uint64_t TokenDataset::fingerprint() const {
  std::uint64_t all = 0;
  for (const TokenShard& shard : shards_) all = hash_combine(all, shard.fingerprint());
  return all;
}

TokenDataset::Place TokenDataset::at(std::int64_t object) const {
  ensure(object >= 0 && object < size(), "the token data set has no object ", object);
  const auto after = std::upper_bound(starts_.begin(), starts_.end(), object);
  const auto shard = static_cast<std::size_t>(after - starts_.begin()) - 1;
  return {&shards_[shard], object - starts_[shard]};
}

void require_tokenizers(const TokenDataset& dataset, const tokenizers::TokenFormat& tokens,
                        std::string_view owner) {
  for (const TokenShard& shard : dataset.shards()) {
    const std::string difference = tokenizers::difference(shard.info().tokens, tokens);
    if (difference.empty()) continue;
    fail(ErrorKind::input, "checking the token shard ", shard.name(), ": it was not made by ", difference,
         " of ", owner, ". Tokenise the data with it, or give the tokenizer that made the shard.");
  }
}

}  // namespace omni::data
