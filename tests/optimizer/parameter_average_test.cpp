#include "omni/optimizer/parameter_average.h"

#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "omni/optimizer/groups.h"

namespace omni::optimizer {
namespace {

// The formula in plain double arithmetic, over weights that wander; in bf16 it is the masters' average.
TEST(ParameterAverage, FollowsTheFormulaFromItsBeginning) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    nn::ParameterStore store(1);
    nn::ParameterScope block = nn::ParameterScope(store, "blocks.0").unit(nn::ParameterUnit::Kind::block);
    const at::Tensor value = block.add("weight", {2, 2}, nn::Init::ones());
    seal_for(store, {}, {}, {.matrix_type = type});
    ParameterAverage average(store, 0.9);
    const c10::NoGradGuard guard;
    double expected = 1;
    for (int update = 1; update <= 200; ++update) {
      const double weight = 1 + 0.001 * update;
      store.find("blocks.0.weight")->master.fill_(weight);
      store.masters_changed();
      average.update(update);
      const double kept = std::min(0.9, (1.0 + update) / (10.0 + update));
      expected = kept * expected + (1 - kept) * weight;
      if (update == 1) EXPECT_NEAR(kept, 2.0 / 11, 1e-12);
    }
    const std::vector<SectionState> states = average.section_state();
    ASSERT_EQ(states.size(), 1u);
    EXPECT_EQ(states[0].kind, "average");
    EXPECT_EQ(states[0].values.scalar_type(), at::kFloat);
    EXPECT_NEAR(states[0].values[0].item<double>(), expected, 1e-5) << type;
  }
}

TEST(ParameterAverage, ExchangesWithTheWeightsAndBack) {
  nn::ParameterStore store(1);
  nn::ParameterScope block = nn::ParameterScope(store, "blocks.0").unit(nn::ParameterUnit::Kind::block);
  const at::Tensor matrix = block.add("weight", {3, 5}, nn::Init::normal(1)),
                   vector = block.add("norm", {5}, nn::Init::normal(1));
  seal_for(store, {}, {}, {.matrix_type = at::kBFloat16});
  const at::Tensor first_matrix = matrix.detach().clone(), first_vector = vector.detach().clone();
  ParameterAverage average(store, 0.99);
  {
    const c10::NoGradGuard guard;
    for (const nn::Parameter& parameter : store.all()) parameter.master.add_(0.5);
    store.masters_changed();
  }
  const at::Tensor last_matrix = matrix.detach().clone(), last_vector = vector.detach().clone();
  const auto version = matrix.unsafeGetTensorImpl()->version_counter().current_version();
  average.exchange();
  EXPECT_TRUE(matrix.equal(first_matrix));
  EXPECT_TRUE(vector.equal(first_vector));
  EXPECT_GT(matrix.unsafeGetTensorImpl()->version_counter().current_version(), version)
      << "copies of weights go by it";
  average.exchange();
  EXPECT_TRUE(matrix.equal(last_matrix));
  EXPECT_TRUE(vector.equal(last_vector));
}

}  // namespace
}  // namespace omni::optimizer
