#include "omni/kernels/keyed_dropout.h"

#include <ATen/Parallel.h>

#include <array>
#include <cmath>

#include "omni/core/error.h"
#include "omni/core/random.h"
#include "omni/kernels/gradient_function.h"
#include "omni/kernels/profiled_range.h"

namespace omni::kernels {
namespace {

using at::Tensor;

constexpr std::int64_t kLowWord = 0xFFFFFFFF;

// Words below it are dropped.
std::int64_t bound_of(double rate) { return std::llround(rate * 0x1p32); }

template <class T>
void drop(const T* x, T* y, std::int64_t count, double rate, std::uint64_t key) {
  const std::int64_t bound = bound_of(rate);
  const auto scale = static_cast<float>(1 / (1 - rate));
  at::parallel_for(0, (count + 3) / 4, 4096, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t block = first; block < last; ++block) {
      const auto number = static_cast<std::uint64_t>(block);
      const auto words =
          philox4x32({static_cast<std::uint32_t>(number), static_cast<std::uint32_t>(number >> 32), 0, 0},
                     {static_cast<std::uint32_t>(key), static_cast<std::uint32_t>(key >> 32)});
      for (std::int64_t i = 4 * block; i < std::min(count, 4 * block + 4); ++i)
        y[i] = words[i % 4] >= bound ? static_cast<T>(static_cast<float>(x[i]) * scale) : T(0);
    }
  });
}

// The words of philox4x32, [count] int64, through tensor operations; products wrap in 64 bits. key: int64 scalar.
Tensor random_words(std::int64_t count, const Tensor& key) {
  constexpr std::int64_t kMultiplierA = 0xD2511F53, kMultiplierB = 0xCD9E8D57;
  constexpr std::int64_t kWeylA = 0x9E3779B9, kWeylB = 0xBB67AE85;
  const Tensor block = at::arange((count + 3) / 4, key.options());
  std::array<Tensor, 4> counter = {block.bitwise_and(kLowWord), block.__rshift__(32), at::zeros_like(block),
                                   at::zeros_like(block)};
  constexpr std::int64_t kRounds = 10;
  const Tensor rounds = at::arange(kRounds, key.options());
  const auto keys_of_rounds = [&](const Tensor& word, std::int64_t weyl) {
    return (word.bitwise_and(kLowWord) + rounds * weyl).bitwise_and(kLowWord);
  };
  const Tensor keys_a = keys_of_rounds(key, kWeylA), keys_b = keys_of_rounds(key.__rshift__(32), kWeylB);
  for (std::int64_t round = 0; round < kRounds; ++round) {
    const auto mixed = [](const Tensor& product, const Tensor& other, const Tensor& word) {
      return product.__rshift__(32).bitwise_and(kLowWord).bitwise_xor(other).bitwise_xor(word);
    };
    const Tensor a = counter[0] * kMultiplierA, b = counter[2] * kMultiplierB;
    counter = {mixed(b, counter[1], keys_a[round]), b.bitwise_and(kLowWord),
               mixed(a, counter[3], keys_b[round]), a.bitwise_and(kLowWord)};
  }
  return at::stack(counter, 1).flatten().narrow(0, 0, count);
}

Tensor dropped(const Tensor& given, double rate, const Tensor& key) {
  const Tensor x = given.contiguous();
  const auto on_host = [&] { return static_cast<std::uint64_t>(key.item<std::int64_t>()); };
  if (x.device().is_cpu() && x.scalar_type() == at::kFloat) {
    Tensor y = at::empty_like(x);
    drop(x.const_data_ptr<float>(), y.mutable_data_ptr<float>(), x.numel(), rate, on_host());
    return y;
  }
  if (x.device().is_cpu() && x.scalar_type() == at::kBFloat16) {
    Tensor y = at::empty_like(x);
    drop(x.const_data_ptr<at::BFloat16>(), y.mutable_data_ptr<at::BFloat16>(), x.numel(), rate, on_host());
    return y;
  }
  const Tensor gone = random_words(x.numel(), key).lt(bound_of(rate)).view(x.sizes());
  const auto wide = x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  return (x.to(wide) * (1 / (1 - rate))).masked_fill_(gone, 0).to(x.scalar_type());
}

// Of rows and their key.
class DropoutFunction : public GradientFunction {
 public:
  explicit DropoutFunction(double rate) : rate_(rate) {}

  std::vector<Tensor> forward(ForwardContext& context, const std::vector<Tensor>& inputs) const override {
    context.save({inputs[1]});
    return {dropped(inputs[0], rate_, inputs[1])};
  }
  std::vector<Tensor> backward(const BackwardContext& context,
                               const std::vector<Tensor>& gradients) const override {
    const ProfiledRange profiled("omni::dropout_backward");
    return {dropped(gradients[0], rate_, context.saved()[0]), Tensor()};
  }

 private:
  double rate_;
};

}  // namespace

Tensor keyed_dropout(const Tensor& x, double rate, std::uint64_t key) {
  // Filled there, which is no copy.
  return keyed_dropout(
      x, rate,
      at::full({}, static_cast<std::int64_t>(key), x.options().dtype(at::kLong).requires_grad(false)));
}

Tensor keyed_dropout(const Tensor& x, double rate, const Tensor& key) {
  ensure(rate >= 0 && rate < 1, "dropout of a share of ", rate);
  ensure(key.scalar_type() == at::kLong && key.numel() == 1 && key.device() == x.device(),
         "dropout: a key is an int64 scalar where the rows are");
  return apply_with_gradient(std::make_unique<DropoutFunction>(rate), {x, key.reshape({})}).front();
}

}  // namespace omni::kernels
