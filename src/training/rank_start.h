#pragma once

#include <functional>
#include <string>

#include "omni/distributed/ranks.h"
#include "omni/kernels/tensor.h"
#include "omni/training/rank_settings.h"

namespace omni::training {

// How this process becomes a rank of a training, whichever it is.

// Finds its device, meets the other ranks that the same launcher has started, and does `work` among them: see
// distributed::run_ranks(). Throws Error(usage) where there is no such device, where a GPU is too old, and where the
// ranks' GPUs are of several kinds.
void run_on_ranks(const RankSettings& settings,
                  const std::function<void(distributed::Ranks& ranks, at::Device device)>& work);

// Rank 0's text on every rank.
std::string text_of_first_rank(const std::string& text, distributed::Collectives& collectives,
                               at::Device device);

}  // namespace omni::training
