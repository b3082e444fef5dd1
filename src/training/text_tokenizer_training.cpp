#include "omni/training/text_tokenizer_training.h"

#include <algorithm>
#include <map>
#include <queue>
#include <tuple>
#include <unordered_map>
#include <unordered_set>

#include "omni/core/error.h"
#include "omni/core/interrupt.h"
#include "omni/core/log.h"

namespace omni::training {
namespace {

using Id = std::int32_t;
using Pair = std::uint64_t;  // left id in the high half, so that pairs order by left, then right

Pair make_pair(Id left, Id right) {
  return Pair(static_cast<std::uint32_t>(left)) << 32 | static_cast<std::uint32_t>(right);
}
Id left_of(Pair pair) { return static_cast<Id>(pair >> 32); }
Id right_of(Pair pair) { return static_cast<Id>(pair & 0xFFFFFFFFu); }

class MergeLearner {
 public:
  MergeLearner(std::span<const std::string> texts, const tokenizers::TextTokenizer& bytes) {
    std::map<std::string, std::int64_t> counts;
    for (const std::string& text : texts) {
      for (std::string& word : bytes.split_words(text)) ++counts[std::move(word)];
    }
    for (Id id = 0; id < bytes.vocabulary_size(); ++id) add_token(bytes.decode(std::span(&id, 1)));
    for (const auto& [word, count] : counts) words_.push_back({bytes.encode(word), count});
    for (std::size_t i = 0; i < words_.size(); ++i) count_pairs(i, +1);
    for (const auto& [pair, entry] : pairs_) queue_.push({entry.count, ~pair});
  }

  // Learns one more token; false where no pair occurs twice.
  bool step() {
    while (!queue_.empty()) {
      const auto [count, inverted] = queue_.top();
      const Pair pair = ~inverted;
      queue_.pop();
      if (pairs_[pair].count != count) continue;  // it was queued again with its new count
      if (count < 2) return false;
      merge(pair);
      return true;
    }
    return false;
  }

  std::size_t token_count() const { return tokens_.size(); }
  const std::vector<std::pair<std::string, std::string>>& merges() const { return merges_; }

 private:
  struct Word {
    std::vector<Id> symbols;
    std::int64_t count;
  };
  struct PairEntry {
    std::int64_t count = 0;
    std::vector<std::size_t> words;  // that held the pair at some time
  };

  Id add_token(const std::string& bytes) {
    const auto [found, is_new] = ids_.emplace(bytes, static_cast<Id>(tokens_.size()));
    if (is_new) tokens_.push_back(bytes);
    return found->second;
  }

  void count_pairs(std::size_t index, int sign) {
    const Word& word = words_[index];
    for (std::size_t i = 0; i + 1 < word.symbols.size(); ++i) {
      const Pair pair = make_pair(word.symbols[i], word.symbols[i + 1]);
      PairEntry& entry = pairs_[pair];
      entry.count += sign * word.count;
      if (sign > 0 && (entry.words.empty() || entry.words.back() != index)) entry.words.push_back(index);
      touched_.insert(pair);
    }
  }

  void merge(Pair pair) {
    const Id left = left_of(pair), right = right_of(pair);
    merges_.emplace_back(tokens_[left], tokens_[right]);
    const Id merged = add_token(tokens_[left] + tokens_[right]);
    touched_.clear();
    std::vector<std::size_t> words = std::move(pairs_[pair].words);
    std::sort(words.begin(), words.end());
    words.erase(std::unique(words.begin(), words.end()), words.end());
    for (const std::size_t index : words) merge_in_word(index, left, right, merged);
    for (const Pair changed : touched_) {
      if (pairs_[changed].count > 0) queue_.push({pairs_[changed].count, ~changed});
    }
  }

  void merge_in_word(std::size_t index, Id left, Id right, Id merged) {
    std::vector<Id>& symbols = words_[index].symbols;
    const auto begins_pair = [&](std::size_t i) {
      return i + 1 < symbols.size() && symbols[i] == left && symbols[i + 1] == right;
    };
    bool found = false;
    for (std::size_t i = 0; i < symbols.size() && !found; ++i) found = begins_pair(i);
    if (!found) return;
    count_pairs(index, -1);
    std::vector<Id> shorter;
    for (std::size_t i = 0; i < symbols.size(); ++i) {
      const bool merge_here = begins_pair(i);
      shorter.push_back(merge_here ? merged : symbols[i]);
      if (merge_here) ++i;
    }
    symbols = std::move(shorter);
    count_pairs(index, +1);
  }

  std::vector<Word> words_;
  std::vector<std::string> tokens_;
  std::unordered_map<std::string, Id> ids_;
  std::unordered_map<Pair, PairEntry> pairs_;
  std::unordered_set<Pair> touched_;                          // whose counts the current merge changed
  std::priority_queue<std::pair<std::int64_t, Pair>> queue_;  // most frequent first, then the smaller pair
  std::vector<std::pair<std::string, std::string>> merges_;
};

}  // namespace

tokenizers::TextTokenizer train_text_tokenizer(std::span<const std::string> texts,
                                               std::int64_t vocabulary_size) {
  if (vocabulary_size < 256) {
    fail(ErrorKind::usage, "cannot train a text tokenizer with ", vocabulary_size,
         " tokens: every byte is a token. Ask for at least 256");
  }
  MergeLearner learner(texts, tokenizers::TextTokenizer::from_merges({}));
  while (static_cast<std::int64_t>(learner.token_count()) < vocabulary_size && learner.step())
    throw_if_interrupted();
  if (static_cast<std::int64_t>(learner.token_count()) < vocabulary_size) {
    log_info("the texts hold no further pair of tokens twice: the vocabulary has ", learner.token_count(),
             " tokens");
  }
  return tokenizers::TextTokenizer::from_merges(learner.merges());
}

}  // namespace omni::training
