#pragma once

#include <c10/core/Allocator.h>

#include <algorithm>
#include <cstdint>
#include <memory>

namespace omni::kernels {

// What the tensors take at LibTorch's allocators that this thread, and backward passes that it starts, allocate
// and free while this lives. One at a time in a thread.
class TensorMemory {
 public:
  explicit TensorMemory(c10::DeviceType device = c10::DeviceType::CPU)
      : count_(std::make_shared<Count>(device)), guard_(c10::DebugInfoKind::PROFILER_STATE, count_) {}
  std::int64_t peak_bytes() const { return count_->peak; }        // alive at once, beyond those at the start
  std::int64_t largest_bytes() const { return count_->largest; }  // of one allocation

 private:
  struct Count : c10::MemoryReportingInfoBase {
    explicit Count(c10::DeviceType counted) : device(counted) {}
    void reportMemoryUsage(void*, std::int64_t size, std::size_t, std::size_t, c10::Device where) override {
      if (where.type() != device) return;
      live += size;
      peak = std::max(peak, live);
      largest = std::max(largest, size);
    }
    bool memoryProfilingEnabled() const override { return true; }
    c10::DeviceType device;
    std::int64_t live = 0, peak = 0, largest = 0;
  };
  std::shared_ptr<Count> count_;
  c10::DebugInfoGuard guard_;
};

}  // namespace omni::kernels
