#include <gtest/gtest.h>

#include <optional>

#include "plugin_interface.h"
#include "shim/orders.h"
#include "typed_numbers.h"

namespace omni::kernels::shim_test {
namespace {

struct AdamWCase {
  int count;
  float steps;
  std::optional<float> divisor, skipped;
  bool values;
  std::size_t offset = 0;  // of every buffer
};
constexpr double kRate = 3e-3, kBeta1 = 0.9, kBeta2 = 0.95, kDecay = 0.1, kEpsilon = 1e-8;

struct AdamWData {
  TypedNumbers masters, first, second, gradients, values;
  explicit AdamWData(const AdamWCase& c)
      : masters(TypedNumbers::random(c.count, false, 1, c.offset)),
        first(TypedNumbers::random(c.count, false, 2, c.offset, 0, 0.1f)),
        second(TypedNumbers::random(c.count, false, 3, c.offset, 1, 0.1f)),
        gradients(TypedNumbers::random(c.count, false, 4, c.offset)),
        values(c.count, true, c.offset) {
    for (int i = 0; i < c.count; ++i) second.set(i, std::fabs(second[i]));
  }
  // Masters, moments, values.
  std::vector<float> all() const {
    std::vector<float> numbers;
    for (const TypedNumbers* x : {&masters, &first, &second, &values})
      for (const float value : x->values()) numbers.push_back(std::isnan(value) ? -7 : value);
    return numbers;
  }
};

std::vector<float> run(const AdamWCase& c, AdamWData data) {
  OmniCudaAdamW a{};
  a.masters = static_cast<float*>(data.masters.data());
  a.first_moment = static_cast<float*>(data.first.data());
  a.second_moment = static_cast<float*>(data.second.data());
  a.gradients = static_cast<float*>(data.gradients.data());
  a.values = c.values ? data.values.data() : nullptr;
  a.steps = &c.steps;
  a.divisor = c.divisor ? &*c.divisor : nullptr;
  a.skipped = c.skipped ? &*c.skipped : nullptr;
  a.count = c.count;
  a.learning_rate = kRate, a.beta1 = kBeta1, a.beta2 = kBeta2, a.weight_decay = kDecay, a.epsilon = kEpsilon;
  EXPECT_EQ(omni_cuda_adamw(&a, nullptr), 0);
  return data.all();
}

// Algorithm 2 of Loshchilov & Hutter 2019, in double precision.
TEST(AdamWShim, FollowsThePaperInEveryOrder) {
  const AdamWCase cases[] = {{1000, 1, {}, {}, false},     {5003, 7, 2.5f, 0.0f, true},
                             {8200, 1000, {}, 0.0f, true}, {64, 3, 1.0f, {}, true, 1},
                             {3, 2, {}, {}, true},         {0, 1, {}, {}, true}};
  for (const AdamWCase& c : cases) {
    const AdamWData before(c);
    std::vector<float> after;
    EXPECT_EQ(shim::for_every_order([&] { return run(c, before); }, after), "");
    for (int i = 0; i < c.count; ++i) {
      const double gradient = before.gradients[i] / c.divisor.value_or(1);
      const double first = kBeta1 * before.first[i] + (1 - kBeta1) * gradient;
      const double second = kBeta2 * before.second[i] + (1 - kBeta2) * gradient * gradient;
      const double step = kRate * (first / (1 - std::pow(kBeta1, c.steps))) /
                          (std::sqrt(second / (1 - std::pow(kBeta2, c.steps))) + kEpsilon);
      const double master = before.masters[i] - step - kRate * kDecay * before.masters[i];
      EXPECT_NEAR(after[i], master, 1e-6) << i;
      EXPECT_NEAR(after[c.count + i], first, 1e-6) << i;
      EXPECT_NEAR(after[2 * c.count + i], second, 1e-6) << i;
      // Rounded from the master as it was written.
      const float value = c.values ? shim::bfloat16_value(shim::bfloat16_bits(after[i])) : -7;
      EXPECT_EQ(after[3 * c.count + i], value) << i;
    }
  }
}

TEST(AdamWShim, ASkippedStepWritesNothing) {
  const AdamWCase c{500, 4, std::numeric_limits<float>::quiet_NaN(), 1.0f, true};
  const AdamWData before(c);
  EXPECT_EQ(run(c, before), before.all());
}

}  // namespace
}  // namespace omni::kernels::shim_test
