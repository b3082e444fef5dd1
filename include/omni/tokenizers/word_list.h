#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace omni::tokenizers {

// The words that a model's training captions held, and the classes of its objects, with the number of
// captions and objects that had them. What a prompt says beyond these a model has never read.
class WordList {
 public:
  using Counts = std::map<std::string, std::int64_t, std::less<>>;

  // Words longer than kLongestWord bytes are left out, and no word counts twice in one caption.
  void add_caption(std::string_view text);
  void add_class(std::string_view name);
  // Keeps the larger count of each: stages of one training mostly read the same captions.
  void merge(const WordList& other);

  const Counts& words() const { return words_; }
  const Counts& classes() const { return classes_; }
  bool knows(std::string_view word) const { return words_.contains(word); }
  // The known words nearest to `word`, nearest and then most frequent first, at most `most`: those that a
  // third of its letters, at least one, added, left out, exchanged or swapped with the next, lead to. None
  // for words of less than three bytes.
  std::vector<std::string> nearest(std::string_view word, std::size_t most) const;

  // Beyond kMostWords words the rarest are left out.
  std::string to_json() const;
  // Throws Error(input) for anything else than to_json() writes; `name` appears in errors.
  static WordList parse(std::string_view json, const std::string& name);

  static constexpr std::size_t kLongestWord = 64, kMostWords = 100'000;
  static constexpr std::uint64_t kLargestFile = std::uint64_t{32} << 20;  // bytes

  friend bool operator==(const WordList&, const WordList&) = default;

 private:
  Counts words_, classes_;
};

// Most frequent first, then in the order of the alphabet.
std::vector<std::pair<std::string, std::int64_t>> by_frequency(const WordList::Counts& counts);

}  // namespace omni::tokenizers
