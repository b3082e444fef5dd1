#pragma once

#include <cstdint>

namespace omni::training {

struct TokenizerTrainingSummary {
  std::int64_t steps = 0;     // over all sessions of the run
  double seconds = 0;         // of training, likewise
  bool was_finished = false;  // a resumed run had nothing left to do
};

}  // namespace omni::training
