#include "brief_captions.h"

#include <algorithm>

#include "omni/core/random.h"
#include "omni/data/synonyms.h"

namespace omni::data {
namespace {

using Patterns = std::vector<std::string>;

struct Wordings {
  std::vector<Patterns> plain;  // the noun last or before "with"; one caption is drawn of each list
  Patterns reordered;           // the noun first
  Patterns held_out;            // orders that training never shows
};

// "a {height} back" -> "{height} back"
std::string without_article(const std::string& feature) {
  return feature.starts_with("a ") ? feature.substr(2) : feature;
}

Wordings scheme_wordings(const ObjectWords& words, const PatternFiller& filler, CounterRng& rng) {
  const ObjectClass& kind = words.kind;
  Patterns adjectives;  // nobody writes "mid-height"
  for (const std::string& pattern : kind.adjectives)
    if (!filler.fill(pattern).starts_with("mid-")) adjectives.push_back(pattern);
  const std::string feature = kind.features[rng.below(kind.features.size())];
  const std::string bare = without_article(feature);
  Wordings all;
  all.plain = {{"a {0} {noun}", "{0} {noun}"},
               {"a {noun}", "{noun}"},
               {"a {noun} with " + feature, "{0} {noun} with " + bare, "{noun} with " + bare}};
  all.reordered = {"{noun} , {0}", "a {noun} with " + feature + " , in {0}"};
  all.held_out = {"{noun} with " + bare + " , {0}"};
  if (adjectives.empty()) return all;
  const std::string adjective = adjectives[rng.below(adjectives.size())];
  all.plain.push_back({"a " + adjective + " {noun}", adjective + " {noun}"});
  all.plain.push_back({"a " + adjective + " {0} {noun}", adjective + " {0} {noun}"});
  all.reordered = {"a {noun} , " + adjective + " and {0}", "{noun} , {0} and " + adjective, "{noun} , {0}",
                   "a {0} {noun} , " + adjective, "a " + adjective + " {noun} in {0}"};
  all.held_out = {"{0} " + adjective + " {noun}", "a {0} " + adjective + " {noun}",
                  adjective + " {noun} , {0}"};
  return all;
}

Wordings pair_wordings() {
  return {.plain = {{"{0} {noun} {relation} {1} {other}", "a {0} {noun} {relation} a {other}"},
                    {"a {noun} {relation} a {other}", "{noun} {relation} {other}"},
                    {"{noun} and {other}", "{0} {noun} and {1} {other}"},
                    {"{size} {noun} {relation} {other}", "{size} {0} {noun} {relation} {1} {other}"}},
          .reordered = {"a {1} {other} with a {0} {noun} {relation} it",
                        "a {other} and , {relation} it, a {noun}"},
          .held_out = {"{relation} a {1} {other} , a {0} {noun}", "{relation} a {other} , {0} {noun}"}};
}

class BriefWriter {
 public:
  BriefWriter(const ObjectWords& words, std::string noun, CounterRng rng)
      : kind_(words.kind), filler_(words, std::move(noun)), rng_(rng) {}

  BriefCaptions write(const Wordings& wordings) {
    BriefCaptions captions;
    Patterns plain;
    for (const Patterns& list : wordings.plain) {
      captions.trained.push_back(say(draw(list), 0));
      plain.insert(plain.end(), list.begin(), list.end());
    }
    captions.trained.push_back(say(draw(wordings.reordered), 0));
    for (int i = 0; i < 2; ++i) {
      const Patterns fitting = with_synonyms(plain, 1);
      if (!fitting.empty()) captions.trained.push_back(say(draw(fitting), 1));
    }
    const Patterns twice = with_synonyms(plain, 2), turned = with_synonyms(wordings.reordered, 1);
    captions.held_out.push_back(twice.empty() ? say(draw(wordings.held_out), 0) : say(draw(twice), 2));
    captions.held_out.push_back(turned.empty() ? say(draw(wordings.held_out), 0) : say(draw(turned), 1));
    return captions;
  }

 private:
  const std::string& draw(const Patterns& patterns) { return patterns[rng_.below(patterns.size())]; }

  // The different words of the pattern that have synonyms.
  std::vector<PlacedWord> exchangeable(const std::string& pattern) const {
    std::vector<PlacedWord> words;
    for (const PlacedWord& word : filler_.placed(pattern)) {
      const bool known = std::find(words.begin(), words.end(), word) != words.end();
      if (!known && !synonyms_here(word).empty()) words.push_back(word);
    }
    return words;
  }

  // Those that are true of this class and part.
  std::vector<std::string> synonyms_here(const PlacedWord& word) const {
    // A round section is circular; a round crown or head is a ball.
    static const std::vector<std::string> kDiscs = {"top form", "seat form", "base form", "tiers form",
                                                    "blocks form"};
    if (word.word == "round" && std::find(kDiscs.begin(), kDiscs.end(), word.attribute) == kDiscs.end())
      return {};
    if (word.word == "ball" && kind_.name == "ball") return {};  // stretched
    return synonyms_of(word.word);
  }

  Patterns with_synonyms(const Patterns& patterns, std::size_t least) const {
    Patterns fitting;
    for (const std::string& pattern : patterns)
      if (exchangeable(pattern).size() >= least) fitting.push_back(pattern);
    return fitting;
  }

  // With that many synonyms.
  std::string say(const std::string& pattern, std::size_t synonyms) {
    std::vector<PlacedWord> words = exchangeable(pattern);
    std::vector<PatternFiller::Exchange> exchanges;
    for (std::size_t i = 0; i < synonyms; ++i) {
      const auto chosen = words.begin() + static_cast<std::ptrdiff_t>(rng_.below(words.size()));
      exchanges.emplace_back(*chosen, draw(synonyms_here(*chosen)));
      words.erase(chosen);
    }
    return filler_.fill(pattern, kAll, exchanges);
  }

  const ObjectClass& kind_;
  PatternFiller filler_;
  CounterRng rng_;
};

std::uint64_t seed_of(const ObjectWords& words) {
  std::uint64_t seed = hash_combine(hash_string("brief captions"), hash_string(words.kind.name));
  for (const auto* numbers : {&words.bins, &words.colours})
    for (const int number : *numbers) seed = hash_combine(seed, static_cast<std::uint64_t>(number));
  return seed;
}

}  // namespace

BriefCaptions write_brief_captions(const ObjectWords& words) {
  CounterRng rng(seed_of(words));
  const bool pair = words.kind.noun.empty();
  const std::string noun = pair ? words.kind.name.substr(0, words.kind.name.find(' ')) : words.kind.noun;
  const Wordings wordings = pair ? pair_wordings() : scheme_wordings(words, PatternFiller(words, noun), rng);
  return BriefWriter(words, noun, rng).write(wordings);
}

}  // namespace omni::data
