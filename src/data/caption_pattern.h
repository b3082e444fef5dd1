#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "object_class.h"

namespace omni::data {

// One object in words: indices into the bins of each attribute and into the palette for each part.
struct ObjectWords {
  const ObjectClass& kind;
  std::span<const int> bins;
  std::span<const int> colours;
};

// Which placeholders of a pattern are filled; the others vanish.
struct Selection {
  bool attributes = true;
  bool colours = true;
};
inline constexpr Selection kAll{true, true}, kGeometry{true, false}, kColours{false, true};

// A word of an object that stands in a placeholder of a pattern. `attribute` is "" for a colour or the noun.
struct PlacedWord {
  std::string attribute, word;
  friend bool operator==(const PlacedWord&, const PlacedWord&) = default;
};

// Fills the patterns of the class table ({attribute}, {0} for a part's colour) and {noun}, for one object.
class PatternFiller {
 public:
  // `noun`: what {noun} stands for.
  PatternFiller(const ObjectWords& words, std::string noun) : words_(words), noun_(std::move(noun)) {}

  using Exchange = std::pair<PlacedWord, std::string>;  // what is said in a word's place
  std::string fill(const std::string& pattern, Selection selection = kAll,
                   const std::vector<Exchange>& exchanges = {}) const;
  // The words of its placeholders, in order.
  std::vector<PlacedWord> placed(const std::string& pattern) const;

 private:
  PlacedWord at(const std::string& name) const;

  ObjectWords words_;
  std::string noun_;
};

// Single spaces, no space before a comma, and "an" where a vowel follows.
std::string tidy_caption(const std::string& text);

}  // namespace omni::data
