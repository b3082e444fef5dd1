#pragma once

#include <c10/core/Allocator.h>

#include <algorithm>
#include <cstdint>
#include <memory>

namespace omni::test {

// What tensors take up at LibTorch's allocators.

// The tensors that this thread allocates and frees while it lives. One at a time.
class TensorMemory {
 public:
  TensorMemory() : count_(std::make_shared<Count>()), guard_(c10::DebugInfoKind::PROFILER_STATE, count_) {}
  std::int64_t peak_bytes() const { return count_->peak; }        // alive at once, beyond those at the start
  std::int64_t largest_bytes() const { return count_->largest; }  // of one allocation

 private:
  struct Count : c10::MemoryReportingInfoBase {
    void reportMemoryUsage(void*, std::int64_t size, std::size_t, std::size_t, c10::Device) override {
      live += size;
      peak = std::max(peak, live);
      largest = std::max(largest, size);
    }
    bool memoryProfilingEnabled() const override { return true; }
    std::int64_t live = 0, peak = 0, largest = 0;
  };
  std::shared_ptr<Count> count_;
  c10::DebugInfoGuard guard_;
};

}  // namespace omni::test
