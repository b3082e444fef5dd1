#pragma once

#include <cstdint>

namespace omni::generation {

struct DecodingLoad {
  std::int64_t weights = 0;    // of the transformer
  std::int64_t sequences = 0;  // that are decoded at once
  int cores = 1;
  int running = 1;  // programs and threads that want a core at the moment, this one included
};

// The threads that decode fastest, 1 to `cores`. Threads meet several times in each layer: one that has to wait for a core
// holds up all others for as long, which a small model's short work never makes up for. With two cores that other programs
// kept busy the tiny model drew 15 tokens a second on two threads and 1,284 on one, one of 1.8 billion weights 2 and 7.7.
int decoding_threads(const DecodingLoad& load);

// The same with LibTorch's threads as cores and the machine as it is; as many as the user has chosen (OMP_NUM_THREADS).
int decoding_threads(std::int64_t weights, std::int64_t sequences);

}  // namespace omni::generation
