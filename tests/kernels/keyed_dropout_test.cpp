#include "omni/kernels/keyed_dropout.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "omni/core/random.h"

namespace omni::kernels {
namespace {

constexpr std::uint64_t kKey = 0xFEDCBA9876543210;

// Element by element, from the stream that the header names.
at::Tensor expected(const at::Tensor& x, double rate) {
  CounterRng words(kKey);
  at::Tensor kept = at::empty(x.sizes(), at::kDouble);
  double* values = kept.mutable_data_ptr<double>();
  for (std::int64_t i = 0; i < x.numel(); ++i)
    values[i] = words.next_u32() >= rate * 0x1p32 ? 1 / (1 - rate) : 0;
  return x.to(at::kDouble) * kept;
}

class KeyedDropoutOf : public testing::TestWithParam<at::ScalarType> {};
// The CPU has kernels for the first two; the others run as on any device.
INSTANTIATE_TEST_SUITE_P(Types, KeyedDropoutOf,
                         testing::Values(at::kFloat, at::kBFloat16, at::kDouble, at::kHalf));

TEST_P(KeyedDropoutOf, KeepsWhatTheStreamOfTheKeySays) {
  at::manual_seed(3);
  const double tolerance = GetParam() == at::kBFloat16 ? 0x1p-8 : GetParam() == at::kHalf ? 0x1p-11 : 1e-6;
  for (const double rate : {0.0, 0.1, 0.75}) {
    const at::Tensor x = at::randn({37, 219}).to(GetParam());  // 8103 elements: no whole number of words
    const at::Tensor y = keyed_dropout(x, rate, kKey), truth = expected(x, rate);
    EXPECT_EQ(y.scalar_type(), GetParam());
    EXPECT_TRUE(y.eq(0).equal(truth.eq(0)));
    EXPECT_TRUE(at::allclose(y.to(at::kDouble), truth, tolerance, 0));
  }
}

TEST_P(KeyedDropoutOf, GradientsGoWhereValuesCameFrom) {
  at::manual_seed(4);
  const at::Tensor x = at::randn({40, 64}).to(GetParam()).requires_grad_(), weights = at::randn({40, 64});
  (keyed_dropout(x, 0.4, kKey).to(at::kFloat) * weights).sum().backward();
  const double tolerance = GetParam() == at::kBFloat16 ? 0x1p-7 : 0x1p-10;
  EXPECT_TRUE(at::allclose(x.grad().to(at::kDouble), expected(weights, 0.4), tolerance, 1e-6));
}

TEST_P(KeyedDropoutOf, TakesItsKeyFromATensor) {
  at::manual_seed(5);
  const at::Tensor x = at::randn({40, 64}).to(GetParam());
  const at::Tensor keys = at::zeros({3}, at::kLong);
  for (const std::uint64_t key : {kKey, ~kKey, std::uint64_t{1}}) {
    keys[1] = static_cast<std::int64_t>(key);
    EXPECT_TRUE(keyed_dropout(x, 0.4, keys[1]).equal(keyed_dropout(x, 0.4, key)));
  }
}

TEST(KeyedDropout, IsTheSameOnAnyNumberOfThreads) {
  const at::Tensor x = at::ones({300, 500});
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const at::Tensor alone = keyed_dropout(x, 0.5, 7);
  at::set_num_threads(4);
  const at::Tensor shared = keyed_dropout(x, 0.5, 7);
  at::set_num_threads(threads);
  EXPECT_TRUE(alone.equal(shared));
  EXPECT_FALSE(alone.equal(keyed_dropout(x, 0.5, 8)));
}

}  // namespace
}  // namespace omni::kernels
