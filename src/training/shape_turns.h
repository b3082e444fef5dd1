#pragma once

#include "omni/core/random.h"
#include "shape_samples.h"

namespace omni::training {

// How an object stands: mirrored along x first, then turned about the vertical axis (y), each quarter taking
// z to x.
struct ShapeTurn {
  int quarters = 0;  // 0 .. 3
  bool mirrored = false;
};

// Turns every sample of the batch, one turn each.
void turn_shapes(ShapeBatch& batch, const std::vector<ShapeTurn>& turns);
std::vector<ShapeTurn> random_turns(std::int64_t count, CounterRng& rng);

}  // namespace omni::training
