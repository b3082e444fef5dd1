#pragma once

#include <functional>
#include <vector>

#include "omni/kernels/tensor.h"
#include "timing.h"

namespace omni::benchmark {

// As fastest(), per launch: each run launches `launches` times before it waits, so that the time of a launch
// from the host is hidden behind the work where there is enough of it.
inline std::vector<double> fastest_on_gpu(const std::vector<std::function<void()>>& candidates, int rounds,
                                          int launches = 20) {
  std::vector<std::function<void()>> repeated;
  for (const auto& candidate : candidates)
    repeated.push_back([&candidate, launches] {
      for (int i = 0; i < launches; ++i) candidate();
    });
  std::vector<double> seconds = fastest(repeated, rounds);
  for (double& s : seconds) s /= launches;
  return seconds;
}

}  // namespace omni::benchmark
