#pragma once

#include <ATen/ATen.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <functional>
#include <vector>

#include "omni/kernels/cuda_plugin.h"
#include "timing.h"

namespace omni::benchmark {

inline bool has_gpu() { return kernels::gpu_refusal().empty(); }

inline void wait_for(const at::Device& device) {
  c10::impl::VirtualGuardImpl(device.type()).synchronizeDevice(device.index());
}

// As fastest(), per launch: each run launches `launches` times before it waits, so that the time of a launch
// from the host is hidden behind the work where there is enough of it.
inline std::vector<double> fastest_on_gpu(const at::Device& device,
                                          const std::vector<std::function<void()>>& candidates, int rounds,
                                          int launches = 20) {
  std::vector<std::function<void()>> repeated;
  for (const auto& candidate : candidates)
    repeated.push_back([&device, &candidate, launches] {
      for (int i = 0; i < launches; ++i) candidate();
      wait_for(device);
    });
  std::vector<double> seconds = fastest(repeated, rounds);
  for (double& s : seconds) s /= launches;
  return seconds;
}

}  // namespace omni::benchmark
