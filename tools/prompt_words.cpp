#include "prompt_words.h"

#include <algorithm>

#include "omni/core/error.h"
#include "omni/core/log.h"
#include "omni/data/synonyms.h"
#include "omni/tokenizers/caption_text.h"

namespace omni::tools {
namespace {

constexpr std::size_t kSuggestions = 3, kShownClasses = 48, kShownWords = 24;

std::string quoted(const std::string& word) {
  constexpr std::size_t kShown = 40;  // bytes; not within a character
  std::size_t end = std::min(word.size(), kShown);
  while (end < word.size() && (static_cast<unsigned char>(word[end]) & 0xC0) == 0x80) ++end;
  return "\"" + word.substr(0, end) + (end < word.size() ? "..." : "") + "\"";
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

std::string what_it_knows(const tokenizers::WordList& words) {
  std::vector<std::string> classes, others;
  for (const auto& [name, count] : tokenizers::by_frequency(words.classes()))
    if (classes.size() < kShownClasses) classes.push_back(name);
  std::sort(classes.begin(), classes.end());
  for (const auto& [word, count] : tokenizers::by_frequency(words.words())) {
    const bool listed = tokenizers::is_joining_word(word) || words.classes().contains(word);
    if (!listed && others.size() < kShownWords) others.push_back(word);
  }
  if (classes.empty()) return joined(others);
  return joined(classes) + "; with words such as " + joined(others);
}

// The known words that an unknown one may have meant: synonyms, then those spelled much the same.
std::vector<std::string> known_words_near(const std::string& word, const tokenizers::WordList& words) {
  std::vector<std::string> near;
  const auto add = [&](const std::string& candidate) {
    const std::vector<std::string> parts = tokenizers::caption_words(candidate);
    const bool known =
        std::all_of(parts.begin(), parts.end(), [&](const auto& part) { return words.knows(part); });
    if (known && near.size() < kSuggestions && std::find(near.begin(), near.end(), candidate) == near.end())
      near.push_back(candidate);
  };
  for (const std::string& other : data::words_like(word)) add(other);
  for (const std::string& other : words.nearest(word, kSuggestions)) add(other);
  return near;
}

struct UnknownWords {
  std::vector<std::string> described;  // with what is near
  bool says_anything_known = false;    // joining words aside
};

UnknownWords unknown_words(const std::string& prompt, const tokenizers::WordList& words) {
  UnknownWords found;
  std::vector<std::string> seen;
  for (const std::string& word : tokenizers::caption_words(prompt)) {
    if (words.knows(word)) {
      found.says_anything_known |= !tokenizers::is_joining_word(word);
      continue;
    }
    if (tokenizers::is_joining_word(word) || std::find(seen.begin(), seen.end(), word) != seen.end())
      continue;
    seen.push_back(word);
    const std::vector<std::string> near = known_words_near(word, words);
    found.described.push_back(quoted(word) + (near.empty() ? "" : " (near: " + joined(near) + ")"));
  }
  return found;
}

}  // namespace

void check_prompt_words(const std::vector<std::string>& prompts, const tokenizers::WordList& words,
                        const std::string& bundle, bool any) {
  if (words.words().empty()) return;
  for (const std::string& prompt : prompts) {
    const UnknownWords unknown = unknown_words(prompt, words);
    const std::string list = joined(unknown.described);
    if (!unknown.says_anything_known && !any) {
      fail(ErrorKind::usage, "reading the prompt ", quoted(prompt),
           ": the captions that the model learnt from hold ",
           list.empty() ? std::string("nothing like it") : concat("none of its words: ", list),
           ". It knows: ", what_it_knows(words), ". `omni info bundle ", bundle,
           "` lists all words; --any samples all the same.");
    }
    if (!list.empty())
      log_warning("the captions that the model learnt from never held ", list,
                  ": what it makes of that is chance.");
  }
}

}  // namespace omni::tools
