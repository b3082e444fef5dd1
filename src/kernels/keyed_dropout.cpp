#include "omni/kernels/keyed_dropout.h"

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <array>
#include <cmath>

#include "omni/core/error.h"
#include "omni/core/random.h"

namespace omni::kernels {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr std::int64_t kLowWord = 0xFFFFFFFF;

// Words below it are dropped.
std::int64_t bound_of(double rate) { return std::llround(rate * 0x1p32); }

std::array<std::uint32_t, 2> words_of(std::uint64_t key) {
  return {static_cast<std::uint32_t>(key), static_cast<std::uint32_t>(key >> 32)};
}

template <class T>
void drop(const T* x, T* y, std::int64_t count, double rate, std::uint64_t key) {
  const std::int64_t bound = bound_of(rate);
  const auto scale = static_cast<float>(1 / (1 - rate));
  at::parallel_for(0, (count + 3) / 4, 4096, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t block = first; block < last; ++block) {
      const auto number = static_cast<std::uint64_t>(block);
      const auto words =
          philox4x32({static_cast<std::uint32_t>(number), static_cast<std::uint32_t>(number >> 32), 0, 0},
                     words_of(key));
      for (std::int64_t i = 4 * block; i < std::min(count, 4 * block + 4); ++i)
        y[i] = words[i % 4] >= bound ? static_cast<T>(static_cast<float>(x[i]) * scale) : T(0);
    }
  });
}

// The words of philox4x32, [count] int64, through tensor operations; products wrap in 64 bits.
Tensor random_words(std::int64_t count, std::uint64_t key, at::Device device) {
  constexpr std::int64_t kMultiplierA = 0xD2511F53, kMultiplierB = 0xCD9E8D57;
  constexpr std::uint32_t kWeylA = 0x9E3779B9, kWeylB = 0xBB67AE85;
  const Tensor block = at::arange((count + 3) / 4, at::TensorOptions(at::kLong).device(device));
  std::array<Tensor, 4> counter = {block.bitwise_and(kLowWord), block.__rshift__(32), at::zeros_like(block),
                                   at::zeros_like(block)};
  auto [key_a, key_b] = words_of(key);
  for (int round = 0; round < 10; ++round) {
    const auto mixed = [](const Tensor& product, const Tensor& other, std::uint32_t word) {
      return product.__rshift__(32).bitwise_and(kLowWord).bitwise_xor(other).bitwise_xor(
          static_cast<std::int64_t>(word));
    };
    const Tensor a = counter[0] * kMultiplierA, b = counter[2] * kMultiplierB;
    counter = {mixed(b, counter[1], key_a), b.bitwise_and(kLowWord), mixed(a, counter[3], key_b),
               a.bitwise_and(kLowWord)};
    key_a += kWeylA;
    key_b += kWeylB;
  }
  return at::stack(counter, 1).flatten().narrow(0, 0, count);
}

Tensor dropped(const Tensor& given, double rate, std::uint64_t key) {
  const Tensor x = given.contiguous();
  if (x.device().is_cpu() && x.scalar_type() == at::kFloat) {
    Tensor y = at::empty_like(x);
    drop(x.const_data_ptr<float>(), y.mutable_data_ptr<float>(), x.numel(), rate, key);
    return y;
  }
  if (x.device().is_cpu() && x.scalar_type() == at::kBFloat16) {
    Tensor y = at::empty_like(x);
    drop(x.const_data_ptr<at::BFloat16>(), y.mutable_data_ptr<at::BFloat16>(), x.numel(), rate, key);
    return y;
  }
  const Tensor kept = random_words(x.numel(), key, x.device()).ge(bound_of(rate)).view(x.sizes());
  const auto wide = x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  return at::where(kept, x.to(wide) * (1 / (1 - rate)), 0.0).to(x.scalar_type());
}

class DropoutFunction : public torch::autograd::Function<DropoutFunction> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& x, double rate, std::int64_t key) {
    context->saved_data["rate"] = rate;
    context->saved_data["key"] = key;
    return dropped(x, rate, static_cast<std::uint64_t>(key));
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto key = static_cast<std::uint64_t>(context->saved_data["key"].toInt());
    return {dropped(gradients[0], context->saved_data["rate"].toDouble(), key), Tensor(), Tensor()};
  }
};

}  // namespace

Tensor keyed_dropout(const Tensor& x, double rate, std::uint64_t key) {
  ensure(rate >= 0 && rate < 1, "dropout of a share of ", rate);
  return DropoutFunction::apply(x, rate, static_cast<std::int64_t>(key));
}

}  // namespace omni::kernels
