#pragma once

#include <array>
#include <span>
#include <string>
#include <vector>

#include "object_class.h"
#include "omni/data/object_source.h"

namespace omni::data {

// One object in words: indices into the bins of each attribute and into the palette for each part.
struct ObjectWords {
  const ObjectClass& kind;
  std::span<const int> bins;
  std::span<const int> colours;
};

// Four complete captions, then up to four partial ones, all different.
std::vector<Caption> write_captions(const ObjectWords& words);

}  // namespace omni::data
