#include "caption_writer.h"

#include <algorithm>

#include "omni/core/error.h"
#include "omni/data/palette.h"

namespace omni::data {
namespace {

struct Selection {
  bool attributes = true;
  bool colours = true;
};
constexpr Selection kAll{true, true}, kGeometry{true, false}, kColours{false, true};

bool names_attribute(const std::string& pattern) {
  for (std::size_t i = pattern.find('{'); i != std::string::npos; i = pattern.find('{', i + 1))
    if (pattern[i + 1] < '0' || pattern[i + 1] > '9') return true;
  return false;
}

bool names_colour(const std::string& pattern) {
  for (std::size_t i = pattern.find('{'); i != std::string::npos; i = pattern.find('{', i + 1))
    if (pattern[i + 1] >= '0' && pattern[i + 1] <= '9') return true;
  return false;
}

class Writer {
 public:
  explicit Writer(const ObjectWords& words) : words_(words) {}

  // Fills the placeholders; those not selected vanish.
  std::string fill(const std::string& pattern, Selection selection) const {
    std::string out;
    for (std::size_t i = 0; i < pattern.size(); ++i) {
      if (pattern[i] != '{') {
        out += pattern[i];
        continue;
      }
      const std::size_t end = pattern.find('}', i);
      ensure(end != std::string::npos, "an unclosed placeholder in \"", pattern, "\"");
      out += value(pattern.substr(i + 1, end - i - 1), selection);
      i = end;
    }
    return out;
  }

 private:
  std::string value(const std::string& name, Selection selection) const {
    if (name[0] >= '0' && name[0] <= '9')
      return selection.colours ? std::string(palette()[words_.colours[name[0] - '0']].name) : "";
    const auto& attributes = words_.kind.attributes;
    for (std::size_t i = 0; i < attributes.size(); ++i)
      if (attributes[i].name == name) return selection.attributes ? attributes[i].words[words_.bins[i]] : "";
    fail(ErrorKind::internal, "class ", words_.kind.name, " has no attribute \"", name, "\"");
  }

  ObjectWords words_;
};

// Single spaces, no space before a comma, and "an" where a vowel follows.
std::string tidy(const std::string& text) {
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

std::string join_list(const std::vector<std::string>& items) {
  std::string out;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out += i + 1 == items.size() ? " and " : ", ";
    out += items[i];
  }
  return out;
}

std::string join_words(const std::vector<std::string>& items) {
  std::string out;
  for (const std::string& item : items) out += " " + item;
  return out;
}

std::string with(const std::vector<std::string>& features) {
  return features.empty() ? "" : " with " + join_list(features);
}

// Captions of the scheme "adjectives colour noun with features".
class SchemeCaptions {
 public:
  explicit SchemeCaptions(const ObjectWords& words) : kind_(words.kind), writer_(words) {}

  std::vector<std::string> complete() const {
    const std::string colour = writer_.fill("{0}", kAll), noun = writer_.fill(kind_.noun, kAll);
    const auto adjectives = all(kind_.adjectives, kAll), features = all(kind_.features, kAll);
    auto turned = features;
    std::reverse(turned.begin(), turned.end());
    const std::string listed = join_list(adjectives);
    return {
        "a" + join_words(adjectives) + " " + colour + " " + noun + with(features),
        "a " + colour + " " + noun + with(turned) + " , " + listed,
        noun + " in " + colour + " , " + listed + " ," + with(features),
        "a " + noun + " that is " + listed + " and " + colour + " ," + with(turned),
    };
  }

  std::vector<std::string> partial() const {
    const std::string colour = writer_.fill("{0}", kAll), noun = writer_.fill(kind_.noun, kAll);
    std::vector<std::string> coloured, shaped;
    for (const std::string& f : kind_.features) {
      if (names_colour(f)) coloured.push_back(writer_.fill(f, kColours));
      if (names_attribute(f)) shaped.push_back(writer_.fill(f, kGeometry));
    }
    const auto adjectives = all(kind_.adjectives, kGeometry), features = all(kind_.features, kAll);
    return {
        "a " + colour + " " + noun + with(coloured),
        "a" + join_words(adjectives) + " " + noun + with(shaped),
        "a" + join_words(adjectives) + " " + colour + " " + noun,
        noun + " in " + colour + with({features.back()}),
    };
  }

 private:
  std::vector<std::string> all(const std::vector<std::string>& patterns, Selection selection) const {
    std::vector<std::string> out;
    for (const std::string& p : patterns) out.push_back(writer_.fill(p, selection));
    return out;
  }

  const ObjectClass& kind_;
  Writer writer_;
};

}  // namespace

std::vector<Caption> write_captions(const ObjectWords& words) {
  std::vector<std::string> complete, partial;
  if (words.kind.complete_patterns.empty()) {
    const SchemeCaptions scheme(words);
    complete = scheme.complete();
    partial = scheme.partial();
  } else {
    const Writer writer(words);
    for (const std::string& p : words.kind.complete_patterns) complete.push_back(writer.fill(p, kAll));
    for (const std::string& p : words.kind.partial_patterns) partial.push_back(writer.fill(p, kAll));
    partial.push_back(writer.fill(words.kind.complete_patterns.front(), kGeometry));
  }
  std::vector<Caption> captions;
  const auto add = [&](const std::string& text, bool is_complete) {
    std::string clean = tidy(text);
    for (const Caption& c : captions)
      if (c.text == clean) return;
    captions.push_back({std::move(clean), is_complete});
  };
  for (const std::string& text : complete) add(text, true);
  for (const std::string& text : partial) add(text, false);
  return captions;
}

}  // namespace omni::data
