#pragma once

#include <cstdlib>
#include <string>

#include "omni/kernels/cuda_plugin.h"
#include "omni/kernels/tensor.h"

namespace omni::test {

// Where suites whose names end in "Gpu" run what they hold against the processor: the GPU; or, with
// OMNI_TEST_DEVICE=cpu, which rehearses them, the processor itself.
inline bool rehearsing() {
  const char* wanted = std::getenv("OMNI_TEST_DEVICE");
  return wanted && std::string(wanted) == "cpu";
}
inline at::Device device() { return rehearsing() ? at::Device(at::kCPU) : at::Device(at::kCUDA, 0); }
// Why there is no such device; empty where there is one. A test asks this first of all: see
// kernels::gpu_refusal.
inline std::string device_refusal() { return rehearsing() ? "" : kernels::gpu_refusal(); }

// The Euclidean length of the difference as a share of that of `expected`. Tensors of any device and type.
inline double relative_error(const at::Tensor& computed, const at::Tensor& expected) {
  const at::Tensor truth = expected.detach().to(at::kCPU, at::kDouble);
  const double size = truth.norm().item<double>();
  const double error = (computed.detach().to(at::kCPU, at::kDouble) - truth).norm().item<double>();
  return size > 0 ? error / size : error;
}

}  // namespace omni::test
