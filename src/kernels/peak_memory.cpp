#include "omni/kernels/peak_memory.h"

#include <ATen/Context.h>
#include <ATen/DeviceAccelerator.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <sys/resource.h>

#include <utility>

namespace omni::kernels {
namespace {

// Free and all of it, in bytes.
std::pair<std::size_t, std::size_t> memory_of(at::Device gpu) {
  at::globalContext().lazyInitDevice(gpu.type());  // before which there is no allocator
  return c10::getDeviceAllocator(gpu.type())->getMemoryInfo(gpu.index());
}

}  // namespace

double peak_gigabytes(at::Device device) {
  if (device.is_cuda()) {
    const auto stats = at::accelerator::getDeviceStats(device.index());
    return 1e-9 * static_cast<double>(stats.allocated_bytes[0].peak);
  }
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return 1024e-9 * static_cast<double>(usage.ru_maxrss);
}

double device_gigabytes(at::Device gpu) { return 1e-9 * static_cast<double>(memory_of(gpu).second); }
double free_device_gigabytes(at::Device gpu) { return 1e-9 * static_cast<double>(memory_of(gpu).first); }

}  // namespace omni::kernels
