#include "caption_pattern.h"

#include <functional>

#include "omni/core/error.h"
#include "omni/data/palette.h"

namespace omni::data {
namespace {

bool is_colour(const std::string& placeholder) { return placeholder[0] >= '0' && placeholder[0] <= '9'; }

// Calls on_text and on_placeholder for the pieces of a pattern, in order.
void visit_pattern(const std::string& pattern, const std::function<void(char)>& on_text,
                   const std::function<void(const std::string&)>& on_placeholder) {
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] != '{') {
      on_text(pattern[i]);
      continue;
    }
    const std::size_t end = pattern.find('}', i);
    ensure(end != std::string::npos, "an unclosed placeholder in \"", pattern, "\"");
    on_placeholder(pattern.substr(i + 1, end - i - 1));
    i = end;
  }
}

}  // namespace

PlacedWord PatternFiller::at(const std::string& name) const {
  if (name == "noun") return {"", noun_};
  if (is_colour(name)) return {"", std::string(palette()[words_.colours[name[0] - '0']].name)};
  const auto& attributes = words_.kind.attributes;
  for (std::size_t i = 0; i < attributes.size(); ++i)
    if (attributes[i].name == name) return {name, attributes[i].words[words_.bins[i]]};
  fail(ErrorKind::internal, "class ", words_.kind.name, " has no attribute \"", name, "\"");
}

std::string PatternFiller::fill(const std::string& pattern, Selection selection,
                                const std::vector<Exchange>& exchanges) const {
  std::string out;
  visit_pattern(
      pattern, [&](char c) { out += c; },
      [&](const std::string& name) {
        const bool shown = name == "noun" || (is_colour(name) ? selection.colours : selection.attributes);
        if (!shown) return;
        PlacedWord placed = at(name);
        for (const auto& [from, to] : exchanges)
          if (placed == from) placed.word = to;
        out += placed.word;
      });
  return out;
}

std::vector<PlacedWord> PatternFiller::placed(const std::string& pattern) const {
  std::vector<PlacedWord> words;
  visit_pattern(
      pattern, [](char) {}, [&](const std::string& name) { words.push_back(at(name)); });
  return words;
}

std::string tidy_caption(const std::string& text) {
  std::vector<std::string> words;
  std::string word;
  const auto flush = [&] {
    if (word == ",") {
      if (!words.empty() && words.back().back() != ',') words.back() += ',';
    } else if (!word.empty()) {
      words.push_back(word);
    }
    word.clear();
  };
  for (const char c : text) {
    if (c == ' ')
      flush();
    else
      word += c;
  }
  flush();
  std::string out;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const bool article = words[i] == "a" && i + 1 < words.size();
    const bool vowel = article && std::string("aeiou").find(words[i + 1][0]) != std::string::npos;
    out += (out.empty() ? "" : " ") + (vowel ? "an" : words[i]);
  }
  return out;
}

}  // namespace omni::data
