#pragma once

namespace omni::training {

// From now on every operation gives the same bits in every run, or is refused. Before the first work on a
// GPU.
void compute_deterministically();

}  // namespace omni::training
