#pragma once

#include <string>
#include <vector>

#include "caption_pattern.h"

namespace omni::data {

// Captions as people write prompts: short, with or without an article, in several orders, and with synonyms.
// Every one is true of the object; what it does not name is left open. Which of the many wordings an object
// gets depends on the object alone.
struct BriefCaptions {
  std::vector<std::string> trained;
  // Of words that `trained` ones hold, but in wordings that these never have: two synonyms in one caption, a
  // synonym after the noun's comma or before it, or the orders "red tall chair" and "tall chair, red".
  std::vector<std::string> held_out;
};
BriefCaptions write_brief_captions(const ObjectWords& words);

}  // namespace omni::data
