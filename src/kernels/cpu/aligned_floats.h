#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace omni::kernels {

// Memory for so many numbers that begins with a cache line and is never initialised: loads across lines take twice as long.
class AlignedFloats {
 public:
  explicit AlignedFloats(std::int64_t count)
      : memory_(std::make_unique_for_overwrite<float[]>(count + kLine / sizeof(float))) {
    void* start = memory_.get();
    std::size_t room = count * sizeof(float) + kLine;
    first_ = static_cast<float*>(std::align(kLine, count * sizeof(float), start, room));
  }
  float* data() const { return first_; }

 private:
  static constexpr std::size_t kLine = 64;

  std::unique_ptr<float[]> memory_;
  float* first_;
};

}  // namespace omni::kernels
