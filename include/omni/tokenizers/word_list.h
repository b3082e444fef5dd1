#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace omni::tokenizers {

// What a model was trained on, as far as its users ask: the words that its training captions held, the classes of
// its objects, with the number of captions and objects that had them, its tasks, the views of its pictures, how
// large its objects were, and the instructions of its editing tasks. What a prompt says beyond these words a
// model has never read.
class WordList {
 public:
  using Counts = std::map<std::string, std::int64_t, std::less<>>;
  // Of one pattern, such as "make the {part} {more}".
  struct Wording {
    std::int64_t edits = 0;  // that it was shown with
    std::string example;     // "make the legs longer"
    friend bool operator==(const Wording&, const Wording&) = default;
  };
  using Wordings = std::map<std::string, Wording, std::less<>>;       // by pattern
  using Instructions = std::map<std::string, Wordings, std::less<>>;  // by the name of the editing task
  struct View {
    std::int32_t azimuth_degrees = 0, elevation_degrees = 0;
    friend auto operator<=>(const View&, const View&) = default;
  };
  struct Sizes {  // of the longest side
    double smallest_m = 0, largest_m = 0;
    friend bool operator==(const Sizes&, const Sizes&) = default;
  };

  // Words longer than kLongestWord bytes are left out, and no word counts twice in one caption.
  void add_caption(std::string_view text);
  void add_class(std::string_view name);
  // Of an object of this class. Throws Error(usage) unless the size is finite and positive.
  void add_size(std::string_view class_name, double longest_side_m);
  void add_task(std::string_view name, std::int64_t objects);  // that its documents are drawn from
  void add_view(View view);                                    // of one more picture
  // One more edit that a task shows in this wording. `text`: the example, where it is the first. Patterns and
  // examples longer than kLongestPattern bytes are left out.
  void add_instruction(std::string_view task, std::string_view pattern, std::string_view text);
  // Keeps the larger count of each: stages of one training mostly read the same captions.
  void merge(const WordList& other);

  const Counts& words() const { return words_; }
  const Counts& classes() const { return classes_; }
  // Empty in lists from before they were kept.
  const Counts& tasks() const { return tasks_; }
  const std::map<View, std::int64_t>& views() const { return views_; }
  const std::map<std::string, Sizes, std::less<>>& sizes() const { return sizes_; }  // by class
  // Empty where nothing was edited; absent in lists from before they were kept.
  const std::optional<Instructions>& instructions() const { return instructions_; }
  bool knows(std::string_view word) const { return words_.contains(word); }
  // The known words nearest to `word`, nearest and then most frequent first, at most `most`: those that a
  // third of its letters, at least one, added, left out, exchanged or swapped with the next, lead to. None
  // for words of less than three bytes.
  std::vector<std::string> nearest(std::string_view word, std::size_t most) const;

  // Beyond kMostWords words the rarest are left out.
  std::string to_json() const;
  // Throws Error(input) for anything else than to_json() writes; `name` appears in errors.
  static WordList parse(std::string_view json, const std::string& name);

  static constexpr std::size_t kLongestWord = 64, kMostWords = 100'000, kLongestPattern = 200;
  static constexpr std::uint64_t kLargestFile = std::uint64_t{32} << 20;  // bytes

  friend bool operator==(const WordList&, const WordList&) = default;

 private:
  Counts words_, classes_, tasks_;
  std::map<View, std::int64_t> views_;
  std::map<std::string, Sizes, std::less<>> sizes_;
  std::optional<Instructions> instructions_ = Instructions();
};

// Most frequent first, then in the order of the alphabet.
std::vector<std::pair<std::string, std::int64_t>> by_frequency(const WordList::Counts& counts);

}  // namespace omni::tokenizers
