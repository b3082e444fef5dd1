#include "ordered_sum.h"

#include <algorithm>
#include <array>

#include "omni/core/error.h"

namespace omni::distributed {
namespace {

constexpr std::int64_t kBlock = 2048;  // values that stay in the nearest cache

template <class Value, class Combine>
void reduce(std::span<const void* const> inputs, Value* result, std::int64_t count, const Combine& combine) {
  std::array<Value, kBlock> sums;
  for (std::int64_t begin = 0; begin < count; begin += kBlock) {
    const std::int64_t size = std::min(kBlock, count - begin);
    std::copy_n(static_cast<const Value*>(inputs[0]) + begin, size, sums.data());
    for (const void* input : inputs.subspan(1)) {
      const Value* values = static_cast<const Value*>(input) + begin;
#pragma omp simd
      for (std::int64_t i = 0; i < size; ++i) sums[i] = combine(sums[i], values[i]);
    }
    std::copy_n(sums.data(), size, result + begin);
  }
}

template <class Value>
void reduce(std::span<const void* const> inputs, void* result, std::int64_t count, Reduction reduction) {
  auto* const values = static_cast<Value*>(result);
  if (reduction == Reduction::sum)
    reduce(inputs, values, count, [](Value a, Value b) { return a + b; });
  else
    reduce(inputs, values, count, [](Value a, Value b) { return a < b ? b : a; });
}

}  // namespace

void reduce_in_order(std::span<const void* const> inputs, void* result, std::int64_t count,
                     at::ScalarType type, Reduction reduction) {
  switch (type) {
    case at::kFloat:
      return reduce<float>(inputs, result, count, reduction);
    case at::kDouble:
      return reduce<double>(inputs, result, count, reduction);
    case at::kLong:
      return reduce<std::int64_t>(inputs, result, count, reduction);
    default:
      ensure(false, "cannot reduce ", c10::toString(type));
  }
}

}  // namespace omni::distributed
