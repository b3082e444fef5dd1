// The plug-in's kernels of a training step on a GPU, values and gradients, against LibTorch's calls on the processor
// in double precision.
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <functional>
#include <vector>

#include "omni/core/error.h"
#include "omni/kernels/add_norm.h"
#include "omni/kernels/cross_entropy.h"
#include "omni/kernels/embedding.h"
#include "omni/kernels/rotary_attention.h"
#include "omni/kernels/swiglu.h"
#include "test_device.h"

namespace omni::kernels {
namespace {

using at::Tensor;
using Tensors = std::vector<Tensor>;

class FusedKernelsGpu : public testing::TestWithParam<at::ScalarType> {
 protected:
  void SetUp() override {
    if (!test::device_refusal().empty()) GTEST_SKIP() << test::device_refusal();
    at::manual_seed(11);
  }
  bool bf16() const { return GetParam() == at::kBFloat16; }
  double tolerance() const { return bf16() ? 1e-2 : 1e-5; }
  static Tensor on_device(const Tensor& x) { return x.to(test::device()); }

  // Both get the same numbers: `function` on the device in the types of the inputs, `truth` in double precision on the
  // processor. Outputs are contracted with fixed noise before the backward pass.
  void expect_same(const Tensors& inputs, const std::function<Tensors(const Tensors&)>& function,
                   const std::function<Tensors(const Tensors&)>& truth) const {
    Tensors own, exact;
    for (const Tensor& input : inputs) {
      own.push_back(on_device(input).detach().clone().requires_grad_());
      exact.push_back(input.detach().to(at::kDouble).requires_grad_());
    }
    const Tensors computed = function(own), expected = truth(exact);
    ASSERT_EQ(computed.size(), expected.size());
    Tensor own_sum = at::zeros({}, at::TensorOptions(at::kDouble).device(test::device()));
    Tensor exact_sum = at::zeros({}, at::kDouble);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      EXPECT_LT(test::relative_error(computed[i], expected[i]), tolerance()) << "output " << i;
      const Tensor noise = at::randn(expected[i].sizes(), at::kDouble);
      own_sum = own_sum + (computed[i].to(at::kDouble) * on_device(noise)).sum();
      exact_sum = exact_sum + (expected[i] * noise).sum();
    }
    own_sum.backward();
    exact_sum.backward();
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      ASSERT_TRUE(own[i].grad().defined()) << "input " << i;
      EXPECT_LT(test::relative_error(own[i].grad(), exact[i].grad()), 2 * tolerance())
          << "gradient of input " << i;
    }
  }
};
INSTANTIATE_TEST_SUITE_P(Types, FusedKernelsGpu, testing::Values(at::kFloat, at::kBFloat16),
                         [](const auto& info) { return info.param == at::kFloat ? "fp32" : "bf16"; });

TEST_P(FusedKernelsGpu, Swiglu) {
  for (const std::int64_t width : {24, 7}) {
    expect_same(
        {at::randn({50, 2 * width}).to(GetParam())},
        [](const Tensors& x) { return Tensors{swiglu(x[0], KernelPath::fused)}; },
        [](const Tensors& x) {
          const auto halves = x[0].chunk(2, -1);
          return Tensors{at::silu(halves[0]) * halves[1]};
        });
  }
}

TEST_P(FusedKernelsGpu, NormWithResidual) {
  for (const NormKind kind : {NormKind::root_mean_square, NormKind::layer}) {
    const NormOptions options{kind, 1e-5, GetParam(), KernelPath::fused};
    expect_same(
        {at::randn({70, 96}), at::randn({70, 96}).to(GetParam()), at::randn({96})},
        [&](const Tensors& x) {
          const auto [sum, normed] = add_norm(x[0], x[1], x[2], options);
          return Tensors{sum, normed};
        },
        [&](const Tensors& x) {
          const Tensor sum = x[0] + x[1];
          return Tensors{sum, kind == NormKind::layer ? at::layer_norm(sum, {96}, x[2], {}, 1e-5)
                                                      : at::rms_norm(sum, {96}, x[2], 1e-5)};
        });
    expect_same(
        {at::randn({5, 40})},
        [&](const Tensors& x) { return Tensors{add_norm(x[0], {}, {}, options).second}; },
        [&](const Tensors& x) {
          return Tensors{kind == NormKind::layer ? at::layer_norm(x[0], {40}, {}, {}, 1e-5)
                                                 : at::rms_norm(x[0], {40}, {}, 1e-5)};
        });
  }
}

TEST_P(FusedKernelsGpu, RotationBeforeAttention) {
  constexpr std::int64_t kRows = 40;
  for (const bool interleaved : {false, true}) {
    RotaryAttention rotation{.heads = 4, .key_value_heads = 2, .head_size = 64, .interleaved = interleaved};
    const Tensor angles = at::rand({kRows, 32}) * 6;
    rotation.cosine = angles.cos(), rotation.sine = angles.sin();
    rotation.row_group = at::randint(2, {kRows}, at::kByte);
    const std::vector<std::int64_t> documents = {0, 13, kRows};
    const auto attend = [&](const Tensors& x, RotaryAttention own) {
      own.query_norm = x[1], own.key_norm = x[2];
      return Tensors{rotary_attention(x[0], own, documents)};
    };
    RotaryAttention fused = rotation;
    fused.rotation_path = KernelPath::fused;
    for (Tensor* x : {&fused.cosine, &fused.sine, &fused.row_group}) *x = on_device(*x);
    expect_same(
        {at::randn({kRows, 8 * 64}).to(GetParam()), at::rand({2, 64}) + 0.5, at::rand({2, 64}) + 0.5},
        [&](const Tensors& x) { return attend(x, fused); },
        [&](const Tensors& x) { return attend(x, rotation); });
  }
}

TEST_P(FusedKernelsGpu, RotationWithoutNorms) {
  constexpr std::int64_t kRows = 24;
  RotaryAttention rotation{.heads = 4, .key_value_heads = 2, .head_size = 64};
  const Tensor angles = at::rand({kRows, 32}) * 6;
  rotation.cosine = angles.cos(), rotation.sine = angles.sin();
  RotaryAttention fused = rotation;
  fused.rotation_path = KernelPath::fused;
  for (Tensor* x : {&fused.cosine, &fused.sine}) *x = on_device(*x);
  const std::vector<std::int64_t> documents = {0, 9, kRows};
  expect_same(
      {at::randn({kRows, 8 * 64}).to(GetParam())},
      [&](const Tensors& x) { return Tensors{rotary_attention(x[0], fused, documents)}; },
      [&](const Tensors& x) { return Tensors{rotary_attention(x[0], rotation, documents)}; });
}

TEST_P(FusedKernelsGpu, FrozenNormsGetNoGradient) {
  constexpr std::int64_t kRows = 24;
  RotaryAttention rotation{.heads = 4, .key_value_heads = 2, .head_size = 64};
  rotation.rotation_path = KernelPath::fused;
  rotation.query_norm = on_device(at::rand({1, 64}));
  rotation.key_norm = on_device(at::rand({1, 64})).requires_grad_();
  const Tensor angles = on_device(at::rand({kRows, 32}));
  rotation.cosine = angles.cos(), rotation.sine = angles.sin();
  const Tensor weight = on_device(at::rand({4 * 64}));
  const Tensor qkv = on_device(at::randn({kRows, 8 * 64}).to(GetParam())).requires_grad_();
  const Tensor attended = rotary_attention(qkv, rotation, std::vector<std::int64_t>{0, kRows});
  const NormOptions options{NormKind::root_mean_square, 1e-5, GetParam(), KernelPath::fused};
  add_norm(attended.to(at::kFloat), {}, weight, options).second.sum().backward();
  EXPECT_TRUE(qkv.grad().defined());
  EXPECT_TRUE(rotation.key_norm.grad().defined());
  EXPECT_FALSE(rotation.query_norm.grad().defined());
  EXPECT_FALSE(weight.grad().defined());
}

TEST_P(FusedKernelsGpu, CrossEntropyOverRanges) {
  constexpr std::int64_t kRows = 30, kWidth = 16;
  const std::vector<ClassRun> runs = {{3, 9}, {20, 30, 0, 2}};
  const std::vector<std::int64_t> columns = class_columns(runs);
  const Tensor codebook = at::randn({40, 4}), chosen = at::randint(39, {kRows}, at::kLong);
  // Columns of the targets leave a gap after the first run.
  const Tensor targets = at::where(chosen < 9, chosen, chosen + columns[1] - 9).to(at::kInt);
  const Tensor weights = at::rand({kRows}) + 0.1;
  constexpr double kZLoss = 0.01;
  expect_same(
      {at::randn({kRows, kWidth}).to(GetParam()), at::randn({60, kWidth}), at::randn({kWidth, 4})},
      [&](const Tensors& x) {
        const ClassTable classes{x[1], x[1].detach().to(GetParam()), {{on_device(codebook), x[2]}}};
        return Tensors{row_cross_entropy(x[0], classes, runs, on_device(targets), on_device(weights), kZLoss,
                                         KernelPath::fused)
                           .objective};
      },
      [&](const Tensors& x) {
        const Tensor codes =
            x[1].narrow(0, 20, 30) + at::mm(codebook.to(at::kDouble).narrow(0, 2, 30), x[2].t());
        const Tensor logits = at::mm(x[0], at::concat({x[1].narrow(0, 3, 9), codes}).t());
        const Tensor log_sums = logits.logsumexp(1);
        const Tensor losses = log_sums - logits.gather(1, chosen.unsqueeze(1)).squeeze(1);
        return Tensors{(weights.to(at::kDouble) * (losses + kZLoss * log_sums.square())).sum()};
      });
}

TEST_P(FusedKernelsGpu, CrossEntropyMadeInChunks) {
  // More than 128 MiB of logits, which are made once more in the backward pass.
  constexpr std::int64_t kRows = 300, kClasses = 200'000;
  const Tensor hidden = at::randn({kRows, 8}).to(GetParam()), table = at::randn({kClasses, 8});
  const Tensor targets = at::randint(kClasses, {kRows}, at::kInt), weights = at::ones({kRows});
  const auto gradients = [&](KernelPath path) {
    Tensor x = on_device(hidden).requires_grad_(), own = on_device(table).requires_grad_();
    const RowCrossEntropy rows =
        row_cross_entropy(x, {own, own.detach().to(GetParam()), {}}, std::vector<ClassRun>{{0, kClasses}},
                          on_device(targets), on_device(weights), 1e-4, path);
    rows.objective.backward();
    return Tensors{rows.losses, x.grad(), own.grad()};
  };
  const Tensors fused = gradients(KernelPath::fused), library = gradients(KernelPath::library);
  for (std::size_t i = 0; i < fused.size(); ++i)
    EXPECT_LT(test::relative_error(fused[i], library[i]), tolerance()) << i;
}

// Tables are fp32 whatever the type of the activations.
TEST_P(FusedKernelsGpu, EmbeddingWithCodebooks) {
  const Tensor indices = at::randint(12, {200}, at::kLong), codebook = at::randn({6, 5});
  const Tensor positions = at::randperm(200, at::kLong).narrow(0, 0, 90),
               codes = at::randint(6, {90}, at::kLong);
  const auto run = [&](const Tensors& x) {
    const EmbeddedCodes own{on_device(codebook), x[1], on_device(positions), on_device(codes)};
    const Tensor once = embed(x[0], on_device(indices), {&own, 1}, KernelPath::fused);
    // A second use adds to the gradient of the first.
    return Tensors{once, embed(x[0], on_device(indices.flip(0)), {}, KernelPath::fused)};
  };
  const auto truth = [&](const Tensors& x) {
    const Tensor shares = at::mm(codebook.to(at::kDouble), x[1].t()).index_select(0, codes);
    return Tensors{at::embedding(x[0], indices).index_add(0, positions, shares),
                   at::embedding(x[0], indices.flip(0))};
  };
  expect_same({at::randn({12, 72}), at::randn({72, 5})}, run, truth);
}

TEST_P(FusedKernelsGpu, OtherTypesAreRefusedByName) {
  if (test::rehearsing()) GTEST_SKIP() << "the processor takes every type";
  try {
    swiglu(at::zeros({2, 8}, at::TensorOptions(at::kHalf).device(test::device())), KernelPath::fused);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    EXPECT_NE(std::string(error.what()).find("swiglu"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace omni::kernels
