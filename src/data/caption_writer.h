#pragma once

#include <vector>

#include "caption_pattern.h"
#include "omni/data/object_source.h"

namespace omni::data {

// Four complete captions, then up to four partial ones, five to eight brief ones and up to two reworded ones,
// all different.
std::vector<Caption> write_captions(const ObjectWords& words);

}  // namespace omni::data
