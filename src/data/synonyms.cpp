#include "omni/data/synonyms.h"

#include <algorithm>

namespace omni::data {
namespace {

// The world's own word first.
const std::vector<std::vector<std::string>>& groups() {
  static const std::vector<std::vector<std::string>> all = {
      {"small", "little"},
      {"large", "big"},
      {"wide", "broad"},
      {"thin", "slim"},
      {"thick", "chunky"},
      {"round", "circular"},
      {"pointed", "pointy"},
      {"upright", "vertical"},
      {"lying", "horizontal"},
      {"two", "2"},
      {"three", "3"},
      {"four", "4"},
      {"five", "5"},
      {"six", "6"},
      {"grey", "gray"},
      {"purple", "violet"},
      {"cyan", "turquoise"},
      {"on top of", "on"},
      {"beside", "next to"},
      {"ball", "sphere"},
      {"mug", "cup"},
      {"bottle", "flask"},
      {"vase", "urn"},
      {"bench", "sofa", "couch"},  // with a back and armrests
      {"house", "home"},
      {"arch", "archway"},
      {"staircase", "stairway", "flight of stairs"},
      {"pine tree", "fir tree"},
      {"mushroom", "toadstool"},
      {"car", "automobile"},
      {"truck", "lorry"},
      {"rocket", "spaceship"},
      {"boat", "ship"},
      {"robot", "android"},
      {"ring", "hoop"},
      {"capsule", "pill"},
  };
  return all;
}

}  // namespace

std::vector<std::string> synonyms_of(std::string_view word) {
  for (const auto& group : groups())
    if (group.front() == word) return {group.begin() + 1, group.end()};
  return {};
}

std::vector<std::string> words_like(std::string_view word) {
  std::vector<std::string> others;
  for (const auto& group : groups()) {
    if (std::find(group.begin(), group.end(), word) == group.end()) continue;
    for (const std::string& other : group)
      if (other != word) others.push_back(other);
  }
  return others;
}

}  // namespace omni::data
