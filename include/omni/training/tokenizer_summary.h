#pragma once

#include <cstdint>

namespace omni::training {

// What every training of a tokenizer reports at its end.
struct TokenizerTrainingSummary {
  std::int64_t steps = 0;     // over all sessions of the run
  double seconds = 0;         // of training, over all sessions
  bool was_finished = false;  // a resumed run had nothing left to do
};

}  // namespace omni::training
