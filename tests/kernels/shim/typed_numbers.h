#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "shim/half.h"

namespace omni::kernels::shim_test {

// Numbers in fp32 or bf16, as kernels take them; NaN at first. `offset` elements lie before the first one, so that it
// is not aligned.
class TypedNumbers {
 public:
  TypedNumbers(std::size_t count, bool bf16, std::size_t offset = 0)
      : bf16_(bf16), offset_(offset), count_(count) {
    if (bf16)
      narrow_.assign(count + offset, 0x7fff);
    else
      wide_.assign(count + offset, std::numeric_limits<float>::quiet_NaN());
  }
  // Drawn from a normal distribution and rounded.
  static TypedNumbers random(std::size_t count, bool bf16, std::uint32_t seed, std::size_t offset = 0,
                             float mean = 0.3f, float deviation = 1.5f) {
    TypedNumbers numbers(count, bf16, offset);
    std::mt19937 generator(seed);
    std::normal_distribution<float> normal(mean, deviation);
    for (std::size_t i = 0; i < count; ++i) numbers.set(i, normal(generator));
    return numbers;
  }

  std::size_t size() const { return count_; }
  void* data() {
    return bf16_ ? static_cast<void*>(narrow_.data() + offset_) : static_cast<void*>(wide_.data() + offset_);
  }
  const void* data() const { return const_cast<TypedNumbers*>(this)->data(); }
  float operator[](std::size_t i) const {
    return bf16_ ? shim::bfloat16_value(narrow_[offset_ + i]) : wide_[offset_ + i];
  }
  void set(std::size_t i, float value) {
    if (bf16_)
      narrow_[offset_ + i] = shim::bfloat16_bits(value);
    else
      wide_[offset_ + i] = value;
  }
  std::vector<float> values() const {
    std::vector<float> all;
    for (std::size_t i = 0; i < count_; ++i) all.push_back((*this)[i]);
    return all;
  }
  // How far a result may be from the truth: half a step of the type, and `rounding` of fp32.
  double tolerance(double truth, double rounding = 2e-6) const {
    return std::fabs(truth) * (bf16_ ? std::ldexp(1.0, -8) : 0) + rounding * (1 + std::fabs(truth));
  }

 private:
  bool bf16_;
  std::size_t offset_, count_;
  std::vector<float> wide_;
  std::vector<std::uint16_t> narrow_;
};

// The slope of f at x, by differences.
template <class Function>
double slope(const Function& f, double x, double step = 1e-4) {
  return (f(x + step) - f(x - step)) / (2 * step);
}

}  // namespace omni::kernels::shim_test
