#pragma once

#include <cstddef>
#include <span>
#include <utility>

#include "omni/core/error.h"
#include "omni/core/random.h"

namespace omni {

// Fisher and Yates' shuffle, from the last place to the first. The order is a function of the generator's
// state and the number of values alone; training orders and token shards depend on it, so it never changes.
template <class T>
void shuffle(std::span<T> values, CounterRng& rng) {
  for (std::size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[rng.below(i)]);
}

// The first `count` places of a shuffle, from the first place on: a random choice in random order, where
// drawing more only adds to it (another order than shuffle() gives). The other values follow in any order.
template <class T>
void shuffle_first(std::span<T> values, std::size_t count, CounterRng& rng) {
  ensure(count <= values.size(), "drawing ", count, " of ", values.size(), " values");
  for (std::size_t i = 0; i < count; ++i) std::swap(values[i], values[i + rng.below(values.size() - i)]);
}

}  // namespace omni
