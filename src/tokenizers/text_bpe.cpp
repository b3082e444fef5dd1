#include "text_bpe.h"

#include <limits>
#include <queue>
#include <tuple>

namespace omni::tokenizers {
namespace {

using Symbols = std::vector<std::int32_t>;
using MergeTable = std::unordered_map<std::uint64_t, BytePairEncoding::Merge>;

// Quadratic, without memory of its own: fastest for words.
void merge_short(Symbols& symbols, const MergeTable& merges) {
  while (symbols.size() > 1) {
    BytePairEncoding::Merge best{std::numeric_limits<std::int32_t>::max(), -1};
    std::size_t at = 0;
    for (std::size_t i = 0; i + 1 < symbols.size(); ++i) {
      const auto found = merges.find(BytePairEncoding::key(symbols[i], symbols[i + 1]));
      if (found != merges.end() && found->second.rank < best.rank) {
        best = found->second;
        at = i;
      }
    }
    if (best.result < 0) return;
    symbols[at] = best.result;
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(at) + 1);
  }
}

// A linked list and a heap, n log n: for runs of thousands of symbols without a space.
void merge_long(Symbols& symbols, const MergeTable& merges) {
  const int count = static_cast<int>(symbols.size());
  std::vector<int> previous(count), next(count);
  for (int i = 0; i < count; ++i) {
    previous[i] = i - 1;
    next[i] = i + 1 < count ? i + 1 : -1;
  }
  using Candidate =
      std::tuple<std::int32_t, int, std::uint64_t>;  // rank, position, the pair when it was queued
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue;
  const auto offer = [&](int left) {
    if (left < 0 || next[left] < 0) return;
    const std::uint64_t pair = BytePairEncoding::key(symbols[left], symbols[next[left]]);
    const auto found = merges.find(pair);
    if (found != merges.end()) queue.emplace(found->second.rank, left, pair);
  };
  for (int i = 0; i + 1 < count; ++i) offer(i);
  while (!queue.empty()) {
    const auto [rank, left, pair] = queue.top();
    queue.pop();
    const int right = symbols[left] < 0 ? -1 : next[left];
    if (right < 0 || BytePairEncoding::key(symbols[left], symbols[right]) != pair) continue;
    symbols[left] = merges.find(pair)->second.result;
    symbols[right] = -1;
    next[left] = next[right];
    if (next[left] >= 0) previous[next[left]] = left;
    offer(previous[left]);
    offer(left);
  }
  std::erase(symbols, -1);
}

}  // namespace

void BytePairEncoding::encode_word(std::string_view word, std::vector<std::int32_t>& out) const {
  if (!whole_words.empty()) {
    if (const auto found = whole_words.find(std::string(word)); found != whole_words.end()) {
      out.push_back(found->second);
      return;
    }
  }
  Symbols symbols;
  symbols.reserve(word.size());
  bool last_was_unknown = false;
  for (std::size_t i = 0; i < word.size(); ++i) {
    const auto byte = static_cast<unsigned char>(word[i]);
    const std::int32_t id = i + 1 == word.size() ? last_byte_ids[byte] : byte_ids[byte];
    if (id >= 0) {
      symbols.push_back(id);
    } else if (unknown_id >= 0 && !(fuse_unknown && last_was_unknown)) {
      symbols.push_back(unknown_id);
    }
    last_was_unknown = id < 0;
  }
  constexpr std::size_t longest_word = 96;
  symbols.size() <= longest_word ? merge_short(symbols, merges) : merge_long(symbols, merges);
  out.insert(out.end(), symbols.begin(), symbols.end());
}

}  // namespace omni::tokenizers
