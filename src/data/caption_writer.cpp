#include "caption_writer.h"

#include <algorithm>

#include "brief_captions.h"

namespace omni::data {
namespace {

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
  explicit SchemeCaptions(const ObjectWords& words) : kind_(words.kind), writer_(words, words.kind.noun) {}

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
  PatternFiller writer_;
};

}  // namespace

std::vector<Caption> write_captions(const ObjectWords& words) {
  std::vector<std::string> complete, partial;
  if (words.kind.complete_patterns.empty()) {
    const SchemeCaptions scheme(words);
    complete = scheme.complete();
    partial = scheme.partial();
  } else {
    const PatternFiller writer(words, "");
    for (const std::string& p : words.kind.complete_patterns) complete.push_back(writer.fill(p, kAll));
    for (const std::string& p : words.kind.partial_patterns) partial.push_back(writer.fill(p, kAll));
    partial.push_back(writer.fill(words.kind.complete_patterns.front(), kGeometry));
  }
  std::vector<Caption> captions;
  const auto add = [&](const std::vector<std::string>& texts, CaptionKind kind) {
    for (const std::string& text : texts) {
      std::string clean = tidy_caption(text);
      const bool known = std::any_of(captions.begin(), captions.end(),
                                     [&](const Caption& caption) { return caption.text == clean; });
      if (!known) captions.push_back({std::move(clean), kind});
    }
  };
  add(complete, CaptionKind::complete);
  add(partial, CaptionKind::partial);
  const BriefCaptions brief = write_brief_captions(words);
  add(brief.trained, CaptionKind::brief);
  add(brief.held_out, CaptionKind::reworded);
  return captions;
}

}  // namespace omni::data
