#include "omni/optimizer/adamw.h"

#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "omni/core/error.h"
#include "omni/optimizer/groups.h"
#include "temporary_directory.h"

namespace omni::optimizer {
namespace {

// The update rule of the paper in plain double arithmetic.
struct Scalar {
  double value, m = 0, v = 0;
  void step(double gradient, double rate, const AdamWConfig& c, bool decayed, int t) {
    if (decayed) value -= rate * c.weight_decay * value;
    m = c.beta1 * m + (1 - c.beta1) * gradient;
    v = c.beta2 * v + (1 - c.beta2) * gradient * gradient;
    value -=
        rate * (m / (1 - std::pow(c.beta1, t))) / (std::sqrt(v / (1 - std::pow(c.beta2, t))) + c.epsilon);
  }
};

void set_gradients(nn::ParameterStore& store, double factor) {
  for (const nn::Parameter& p : store.all()) {
    p.value.grad().copy_(factor * at::linspace(-1, 1, p.value.numel()).view(p.value.sizes()));
  }
}

TEST(AdamW, FollowsThePapersRule) {
  nn::ParameterStore store(1);
  const at::Tensor matrix = store.add("layer.weight", {3, 4}, nn::Init::normal(1));
  const at::Tensor bias = store.add("layer.bias", {4}, nn::Init::normal(1));
  const at::Tensor table = store.add("embedding.weight", {5, 2}, nn::Init::normal(1));
  const AdamWConfig config;
  seal_for(store, config);
  AdamW optimizer(store, config);
  const auto scalar = [](const at::Tensor& t, int i) { return Scalar{t.flatten()[i].item<double>()}; };
  Scalar a = scalar(matrix, 5), b = scalar(bias, 0), c = scalar(table, 3);
  for (int t = 1; t <= 20; ++t) {
    set_gradients(store, 0.1 * t);
    const auto gradient = [](const at::Tensor& p, int i) { return p.grad().flatten()[i].item<double>(); };
    a.step(gradient(matrix, 5), 0.01, config, true, t);
    b.step(gradient(bias, 0), 0.01, config, false, t);
    c.step(gradient(table, 3), 0.01, config, false, t);
    optimizer.step(0.01);
    store.zero_gradients();
  }
  EXPECT_NEAR(matrix.flatten()[5].item<double>(), a.value, 1e-5);
  EXPECT_NEAR(bias[0].item<double>(), b.value, 1e-5);
  EXPECT_NEAR(table.flatten()[3].item<double>(), c.value, 1e-5);
}

// The device "meta" stands for a GPU: a count that is kept elsewhere cannot take what a step's measure says.
TEST(AdamW, CountsStepsWhereTheParametersAreThoughAllOfThemAreMuons) {
  nn::ParameterStore store(nn::ParameterStart::shapes());
  nn::ParameterScope(store, "single_blocks.0")
      .unit(nn::ParameterUnit::Kind::block)
      .add("down.weight", {4, 6}, nn::Init::normal(1));
  seal_for(store, {}, {.enabled = true});
  AdamW optimizer(store, {});
  GradientMeasure measure;
  measure.skipped = at::zeros({}, at::TensorOptions(at::kFloat).device(at::kMeta));
  EXPECT_NO_THROW(optimizer.step(0.1, measure));
}

// Copies of weights in the type of the activations are renewed by the version counter.
TEST(AdamW, AStepMarksEveryParameterAsChanged) {
  nn::ParameterStore store(1);
  const at::Tensor weight = store.add("layer.weight", {3, 4}, nn::Init::normal(1));
  const at::Tensor bias = store.add("layer.bias", {4}, nn::Init::normal(1));
  seal_for(store, {});
  AdamW optimizer(store, {});
  set_gradients(store, 1);
  const auto weight_version = weight._version(), bias_version = bias._version();
  optimizer.step(0.1);
  EXPECT_GT(weight._version(), weight_version);
  EXPECT_GT(bias._version(), bias_version);
}

TEST(AdamW, RestrictedToRowsLeavesTheRestBitForBit) {
  nn::ParameterStore store(1);
  const at::Tensor table = store.add("embedding.weight", {6, 3}, nn::Init::normal(1));
  const at::Tensor other = store.add("layer.weight", {3, 3}, nn::Init::normal(1));
  const at::Tensor table_before = table.detach().clone(), other_before = other.detach().clone();
  seal_for(store, {});
  AdamW optimizer(store, {});
  optimizer.restrict_to_rows({{"embedding.weight", {4, 2}}});
  for (int t = 0; t < 3; ++t) {
    set_gradients(store, 1);
    optimizer.step(0.1);
  }
  EXPECT_TRUE(other.equal(other_before));
  EXPECT_TRUE(table.narrow(0, 0, 4).equal(table_before.narrow(0, 0, 4)));
  EXPECT_FALSE(table.narrow(0, 4, 2).equal(table_before.narrow(0, 4, 2)));
  optimizer.restrict_to_rows({});
  set_gradients(store, 1);
  optimizer.step(0.1);
  EXPECT_FALSE(other.equal(other_before));
}

TEST(AdamW, StateRoundTripsAndGrowsWithItsParameter) {
  const test::TemporaryDirectory folder;
  const std::filesystem::path path = folder / "state.safetensors";
  const auto build = [](nn::ParameterStore& store, std::int64_t rows) {
    store.add("embedding.weight", {rows, 3}, nn::Init::normal(1));
    store.add("layer.weight", {3, 3}, nn::Init::normal(1));
  };
  nn::ParameterStore first(1), second(1), grown(1);
  build(first, 4);
  build(second, 4);
  build(grown, 6);
  for (nn::ParameterStore* store : {&first, &second, &grown}) seal_for(*store, {});
  AdamW a(first, {}), b(second, {}), c(grown, {});
  for (int t = 0; t < 2; ++t) {
    set_gradients(first, 1);
    a.step(0.1);
  }
  std::vector<NamedTensorView> views;
  const auto state = a.state();
  for (const auto& [name, tensor] : state) views.push_back({name, nn::view_of(tensor)});
  write_safetensors(path, views);
  {
    const c10::NoGradGuard guard;
    for (std::size_t i = 0; i < 2; ++i) at::Tensor(second.all()[i].value).copy_(first.all()[i].value);
  }
  const SafetensorsFile file(path);
  b.load_state(file);
  EXPECT_EQ(b.steps_taken(), 2);
  set_gradients(first, 2);
  set_gradients(second, 2);
  a.step(0.1);
  b.step(0.1);
  for (std::size_t i = 0; i < 2; ++i) EXPECT_TRUE(first.all()[i].value.equal(second.all()[i].value));
  c.load_state(file);
  at::Tensor moments;
  for (const auto& [name, tensor] : c.state())
    if (name == "embedding.weight.first_moment") moments = tensor;
  EXPECT_TRUE(moments.narrow(0, 0, 4).equal(nn::to_tensor(file.at("embedding.weight.first_moment"))));
  EXPECT_EQ(moments.narrow(0, 4, 2).abs().sum().item<float>(), 0);
  nn::ParameterStore smaller(1);
  build(smaller, 3);
  seal_for(smaller, {});
  AdamW d(smaller, {});
  EXPECT_THROW(d.load_state(file), Error);
}

// What a step in bf16 keeps: fp32 masters that move by less than bf16 can tell, and leaves that are those, rounded.
TEST(AdamW, MatricesInHalfPrecisionAreTheirMastersRounded) {
  nn::ParameterStore whole(1), half(1);
  for (nn::ParameterStore* store : {&whole, &half}) {
    const nn::ParameterScope block = nn::ParameterScope(*store, "block").unit(nn::ParameterUnit::Kind::block);
    block.add("down.weight", {5, 7}, nn::Init::normal(1));
    block.add("norm.weight", {7}, nn::Init::ones());
  }
  seal_for(whole, {});
  seal_for(half, {}, {}, {.matrix_type = at::kBFloat16});
  AdamW a(whole, {}), b(half, {});
  for (int t = 0; t < 4; ++t) {
    set_gradients(whole, 1);
    set_gradients(half, 1);
    a.step(1e-4);
    b.step(1e-4);
  }
  const nn::Parameter &matrix = half.all()[0], &norm = half.all()[1];
  EXPECT_EQ(matrix.value.scalar_type(), at::kBFloat16);
  EXPECT_TRUE(matrix.master.equal(whole.all()[0].value));
  EXPECT_TRUE(matrix.value.equal(matrix.master.to(at::kBFloat16)));
  EXPECT_EQ(norm.value.scalar_type(), at::kFloat);
  EXPECT_TRUE(norm.value.equal(whole.all()[1].value));
}

// With all rows allowed it is the plain step.
TEST(AdamW, RestrictedToAllRowsItIsThePlainStep) {
  nn::ParameterStore first(1), second(1);
  for (nn::ParameterStore* store : {&first, &second}) {
    store->add("embedding.weight", {6, 3}, nn::Init::normal(1));
    seal_for(*store, {});
  }
  AdamW a(first, {}), b(second, {});
  b.restrict_to_rows({{"embedding.weight", {0, 6}}});
  for (int t = 1; t < 5; ++t) {
    set_gradients(first, t);
    set_gradients(second, t);
    a.step(0.1, measure_gradients(first, 1.0));
    b.step(0.1, measure_gradients(second, 1.0));
  }
  EXPECT_TRUE(at::allclose(first.all()[0].value, second.all()[0].value, 1e-5, 1e-6));
}

}  // namespace
}  // namespace omni::optimizer
