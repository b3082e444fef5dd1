#pragma once

#include <string>

#include "omni/core/config.h"

namespace omni::training {

// Where the ranks of a training compute, and how long they wait for each other.
struct RankSettings {
  std::string device = "cpu";  // cpu, cuda: each rank on a GPU of its own
  // For all ranks to come, to come to a collective call, and before a silent one counts as lost.
  double start_minutes = 10, call_minutes = 10, silence_seconds = 30;
};
void describe(ConfigVisitor& visitor, RankSettings& settings);  // the keys device and timeouts

}  // namespace omni::training
