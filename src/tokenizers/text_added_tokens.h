#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace omni::tokenizers {

// A token that is cut out of the text before any merging, such as "<|endoftext|>".
struct AddedToken {
  std::int32_t id = 0;
  std::string content;
  bool special = false;
  bool normalised = false;                       // looked for after normalisation, otherwise before
  bool single_word = false;                      // only where no word character touches it
  bool strip_left = false, strip_right = false;  // swallows white space on that side
};

// Finds tokens in a text: leftmost first, the longest among those that start together.
class AddedTokenFinder {
 public:
  void add(AddedToken token, std::string searched_form);
  bool empty() const { return by_first_byte_.empty(); }
  // Calls on_text(piece) and on_token(id) from left to right; empty pieces are left out.
  void split(std::string_view text, const std::function<void(std::string_view)>& on_text,
             const std::function<void(std::int32_t)>& on_token) const;

 private:
  struct Entry {
    std::string form;
    AddedToken token;
  };
  const Entry* longest_at(std::string_view text, std::size_t at) const;
  std::map<char, std::vector<Entry>> by_first_byte_;  // longest first
};

}  // namespace omni::tokenizers
