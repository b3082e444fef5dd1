#include "omni/optimizer/gradients.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "omni/optimizer/groups.h"

namespace omni::optimizer {
namespace {

class Gradients : public testing::TestWithParam<bool> {
 protected:
  // Two matrices of a block, a table and a vector; with Muon the matrices are its.
  Gradients() {
    const nn::ParameterScope root(store_);
    root.sub("embedding").add("weight", {6, 3}, nn::Init::normal(1));
    const nn::ParameterScope block = root.sub("block").unit(nn::ParameterUnit::Kind::block);
    block.sub("up").add("weight", {4, 3}, nn::Init::normal(1));
    block.sub("down").add("weight", {3, 4}, nn::Init::normal(1));
    block.sub("norm").add("weight", {3}, nn::Init::ones());
    seal_for(store_, adamw_, muon_);
    for (const nn::Parameter& p : store_.all()) p.value.grad().copy_(at::randn(p.value.sizes()));
  }
  double norm() const {
    double squares = 0;
    for (const nn::Parameter& p : store_.all())
      squares += p.value.grad().to(at::kDouble).square().sum().item<double>();
    return std::sqrt(squares);
  }
  std::vector<at::Tensor> masters() const {
    std::vector<at::Tensor> all;
    for (const nn::Parameter& p : store_.all()) all.push_back(p.master.clone());
    return all;
  }

  AdamWConfig adamw_;
  MuonConfig muon_{.enabled = GetParam()};
  nn::ParameterStore store_{1};
};
INSTANTIATE_TEST_SUITE_P(, Gradients, testing::Bool(),
                         [](const auto& info) { return info.param ? "WithMuon" : "AdamWAlone"; });

TEST_P(Gradients, TheirNormIsThatOfAllTogether) {
  const GradientMeasure measure = measure_gradients(store_, 0.5);
  EXPECT_NEAR(measure.norm.item<double>(), norm(), 1e-5 * norm());
  EXPECT_NEAR(measure.divisor.item<double>(), norm() / 0.5, 1e-5 * norm() / 0.5);
  EXPECT_EQ(measure.skipped.item<float>(), 0);
  EXPECT_EQ(measure_gradients(store_, 1e6).divisor.item<float>(), 1);
  EXPECT_FALSE(measure_gradients(store_, 0).divisor.defined());
}

// A step with the divisor is one from gradients that were divided by hand.
TEST_P(Gradients, AreScaledByTheStep) {
  const auto run = [&](nn::ParameterStore& store, const GradientMeasure& measure) {
    AdamW adamw(store, adamw_);
    Muon muon(store, muon_, adamw_.weight_decay);
    adamw.step(0.1, measure);
    muon.step(0.1, measure);
  };
  const std::vector<at::Tensor> start = masters();
  std::vector<at::Tensor> gradients;
  for (const nn::Parameter& p : store_.all()) gradients.push_back(p.value.grad() / (norm() / 0.5));
  run(store_, measure_gradients(store_, 0.5));
  const std::vector<at::Tensor> scaled = masters();
  for (std::size_t i = 0; i < start.size(); ++i) {
    store_.all()[i].master.copy_(start[i]);
    store_.all()[i].value.grad().copy_(gradients[i]);
  }
  run(store_, {});
  for (std::size_t i = 0; i < start.size(); ++i)
    EXPECT_TRUE(at::allclose(store_.all()[i].master, scaled[i], 1e-4, 1e-5)) << store_.all()[i].name;
}

TEST_P(Gradients, ThatAreNotFiniteLeaveEverythingAsItIs) {
  AdamW adamw(store_, adamw_);
  Muon muon(store_, muon_, adamw_.weight_decay);
  adamw.step(0.1, measure_gradients(store_, 1));
  muon.step(0.1, measure_gradients(store_, 1));
  const std::vector<at::Tensor> before = masters();
  const auto copied = [&] {
    std::vector<std::pair<std::string, at::Tensor>> all;
    for (const auto& state : {adamw.state(), named_state(muon.section_state(), store_)})
      for (const auto& [name, tensor] : state) all.emplace_back(name, tensor.clone());
    return all;
  };
  const auto moments = copied();
  store_.zero_gradients();
  store_.all()[1].value.grad().view(-1)[2] = std::numeric_limits<float>::quiet_NaN();
  const GradientMeasure measure = measure_gradients(store_, 1);
  EXPECT_EQ(measure.skipped.item<float>(), 1);
  adamw.step(0.1, measure);
  muon.step(0.1, measure);
  for (std::size_t i = 0; i < before.size(); ++i) EXPECT_TRUE(store_.all()[i].master.equal(before[i])) << i;
  const auto after = copied();
  for (std::size_t i = 0; i < moments.size(); ++i)
    EXPECT_TRUE(after[i].second.equal(moments[i].second)) << moments[i].first;
  EXPECT_EQ(adamw.steps_taken(), 1);
}

}  // namespace
}  // namespace omni::optimizer
