#pragma once

#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "omni/kernels/cuda_plugin.h"
#include "omni/kernels/tensor.h"

// Helpers of the kernel benchmarks. Every benchmark prints one line per measurement, words and then key=value
// pairs, which tools/gpu-report.sh reads.
namespace omni::benchmark {

// The device that tools/gpu-report.sh asks for. Where that is a GPU and there is none, the program ends. To be called
// before anything else: LibTorch takes no notice of a GPU whose half of it is loaded after its first use (seeding a
// generator, say).
inline at::Device device() {
  static const at::Device chosen = [] {
    const char* wanted = std::getenv("OMNI_BENCHMARK_DEVICE");
    if (!wanted || std::string(wanted) != "cuda") return at::Device(at::kCPU);
    if (!kernels::gpu_refusal().empty()) {
      std::fprintf(stderr, "benchmark: %s\n", kernels::gpu_refusal().c_str());
      std::exit(1);
    }
    return at::Device(at::kCUDA, 0);
  }();
  return chosen;
}

// Waits for what was launched on the device.
inline void synchronise() {
  if (device().is_cuda()) c10::impl::VirtualGuardImpl(at::kCUDA).synchronizeDevice(0);
}

// For programs that measure CPU kernels alone.
inline bool cpu_only(const char* what) {
  if (device().is_cuda()) std::printf("%s: a CPU kernel, nothing to measure on a GPU\n", what);
  return !device().is_cuda();
}

inline double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// The fastest of `rounds` runs of each candidate. Candidates take turns, so that a disturbance of the machine
// meets all of them; each has run once before.
inline std::vector<double> fastest(const std::vector<std::function<void()>>& candidates, int rounds) {
  std::vector<double> best(candidates.size(), std::numeric_limits<double>::infinity());
  for (int round = -1; round < rounds; ++round)
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      const double start = seconds();
      candidates[i]();
      synchronise();
      if (round >= 0) best[i] = std::min(best[i], seconds() - start);
    }
  return best;
}

class Line {
 public:
  explicit Line(std::string name) : text_(std::move(name)) {}
  Line& add(const char* key, const std::string& value) {
    text_ += std::string(" ") + key + "=" + value;
    return *this;
  }
  Line& add(const char* key, std::int64_t value) { return add(key, std::to_string(value)); }
  Line& add(const char* key, double value) {
    char digits[32];
    std::snprintf(digits, sizeof digits, value >= 100 ? "%.0f" : "%.3g", value);
    return add(key, std::string(digits));
  }
  void print() const {
    std::puts(text_.c_str());
    std::fflush(stdout);
  }

 private:
  std::string text_;
};

}  // namespace omni::benchmark
