// A decoding step of one block on a GPU: its graph against plain launches, bit by bit, and its int8 weights
// against the processor's.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <cmath>

#include "omni/core/error.h"
#include "omni/kernels/cuda_decode_step.h"
#include "omni/kernels/cuda_plugin.h"
#include "omni/kernels/decode_linear.h"

namespace omni::kernels {
namespace {

using at::Tensor;

class DecodeStepGpu : public testing::Test {
 protected:
  void SetUp() override {
    if (!gpu_refusal().empty()) GTEST_SKIP() << gpu_refusal();
  }
  // The GPU that the host plays has no graphs.
  static bool has_graphs() { return ::dlsym(RTLD_DEFAULT, "omni_host_gpu_reads") == nullptr; }
};

CudaDecodeMatrix random_matrix(std::int64_t outputs, std::int64_t inputs, DecodeFormat format) {
  const Tensor weight = (at::randn({outputs, inputs}) / std::sqrt(static_cast<double>(inputs))).to(at::kCUDA);
  return cuda_decode_matrix(weight, weight.to(at::kBFloat16), {}, format);
}

CudaDecodeNetwork network(KeyValueCache& cache, DecodeFormat format) {
  at::manual_seed(5);
  CudaDecodeNetwork network;
  CudaDecodeLayer layer;
  layer.qkv = random_matrix(4 * 64, 128, format);
  layer.attention_out = random_matrix(128, 128, format);
  layer.gate_up = random_matrix(2 * 96, 128, format);
  layer.down = random_matrix(128, 96, format);
  layer.cache = &cache;
  network.layers = {layer};
  network.token_rows = at::randn({50, 128}).to(at::kCUDA);
  network.head = random_matrix(50, 128, format);
  network.heads = 2;
  network.key_value_heads = 1;
  network.head_size = 64;
  network.inner = 96;
  network.norm_epsilon = network.head_norm_epsilon = 1e-5;
  return network;
}

std::vector<CudaDecodeStepRow> rows_of_step(std::int32_t step, std::int32_t count) {
  std::vector<CudaDecodeStepRow> rows;
  for (std::int32_t r = 0; r < count; ++r) {
    CudaDecodeStepRow row;
    row.token = (7 * step + r) % 50;
    row.first = row.second = {r, step, r, 1, 0, r};
    for (int i = 0; i < 32; ++i) {
      row.cosine.push_back(std::cos(0.1f * static_cast<float>(step * i)));
      row.sine.push_back(std::sin(0.1f * static_cast<float>(step * i)));
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

TEST_F(DecodeStepGpu, AGraphGivesWhatPlainLaunchesGive) {
  for (const DecodeFormat format : {DecodeFormat::bf16, DecodeFormat::int8}) {
    const CacheType kept = format == DecodeFormat::int8 ? CacheType::int8 : CacheType::bf16;
    KeyValueCache one(3, 1, 64, 64, kept, at::Device(at::kCUDA, 0)),
        other(3, 1, 64, 64, kept, at::Device(at::kCUDA, 0));
    CudaDecodeStep graph(network(one, format)),
        plain(network(other, format), CudaDecodeStep::Launches::plain);
    std::int32_t before = 0;
    for (std::int32_t step = 0; step < 9; ++step) {
      const std::int32_t count = step < 3 ? 2 : step < 6 ? 3 : 1;  // another plan each
      const auto rows = rows_of_step(step, count);
      const Tensor expected = plain.run(rows).cpu(), computed = graph.run(rows).cpu();
      ASSERT_TRUE(at::equal(computed, expected)) << step;
      ASSERT_TRUE(computed.isfinite().all().item<bool>());
      EXPECT_EQ(graph.ran_graph(), has_graphs() && count == before) << step;
      EXPECT_FALSE(plain.ran_graph());
      before = count;
    }
  }
}

// Two samples of two rows each, which may draw different tokens.
std::vector<CudaDrawingStep> drawing_steps(std::int32_t first, std::int32_t count) {
  std::vector<CudaDrawingStep> steps;
  for (std::int32_t i = first; i < first + count; ++i) {
    CudaDrawingStep step{rows_of_step(i, 4), {}};
    if (i > first)
      for (CudaDecodeStepRow& row : step.rows) row.token = CudaDecodeStepRow::kDrawn;
    const auto number = static_cast<std::uint64_t>(i);
    step.draws.push_back(
        {{{10, 25}}, {1.0 + 0.5 * i}, {.temperature = 1.2, .top_k = 20}, {3, 0, 10 + number}});
    step.draws.push_back({{{5, 10}, {30, 12}}, {2.5}, {.top_p = 0.9}, {3, 1, 20 + number}});
    steps.push_back(std::move(step));
  }
  return steps;
}

SampledToken sample_on_host(CudaDecodeStep& step, const Tensor& hidden, std::int64_t sample,
                            const CudaDecodeDraw& draw) {
  const Tensor logits = step.logits(hidden, draw.allowed).cpu();
  std::vector<std::span<const float>> rows;
  for (std::int64_t row = 2 * sample; row < 2 * sample + 2; ++row)
    rows.emplace_back(logits[row].const_data_ptr<float>(), 50);
  SamplingInput input;
  input.rows = rows;
  input.guidance = draw.guidance;
  input.allowed = draw.allowed;
  return sample_token(input, draw.settings, draw.key);
}

// The reference: step by step, with draws on the processor.
TEST_F(DecodeStepGpu, AStretchDrawsWhatTheHostDrawsStepByStep) {
  for (const DecodeFormat format : {DecodeFormat::bf16, DecodeFormat::int8}) {
    const CacheType kept = format == DecodeFormat::int8 ? CacheType::int8 : CacheType::bf16;
    KeyValueCache one(4, 1, 64, 64, kept, at::Device(at::kCUDA, 0)),
        two(4, 1, 64, 64, kept, at::Device(at::kCUDA, 0)),
        other(4, 1, 64, 64, kept, at::Device(at::kCUDA, 0));
    CudaDecodeStep graph(network(one, format)), plain(network(two, format), CudaDecodeStep::Launches::plain),
        single(network(other, format));
    for (const auto& [first, count] : {std::pair(0, 4), std::pair(4, 1), std::pair(5, 6)}) {
      std::vector<CudaDrawingStep> steps = drawing_steps(first, count);
      const auto drawn = graph.draw(steps), plainly = plain.draw(steps);
      EXPECT_EQ(graph.ran_graph(), has_graphs());
      EXPECT_FALSE(plain.ran_graph());
      ASSERT_EQ(drawn.size(), steps.size());
      Tensor hidden;
      for (std::size_t i = 0; i < steps.size(); ++i) {
        for (std::size_t r = 0; i > 0 && r < 4; ++r) steps[i].rows[r].token = drawn[i - 1][r / 2].token;
        hidden = single.run(steps[i].rows).clone();
        ASSERT_EQ(drawn[i].size(), 2u);
        for (std::size_t s = 0; s < 2; ++s) {
          const SampledToken expected =
              sample_on_host(single, hidden, static_cast<std::int64_t>(s), steps[i].draws[s]);
          EXPECT_EQ(drawn[i][s].fault, DrawFault::none);
          EXPECT_EQ(drawn[i][s].token, expected.index) << first << " + " << i;
          EXPECT_EQ(plainly[i][s].token, expected.index) << first << " + " << i;
          EXPECT_NEAR(drawn[i][s].log_probability, expected.log_probability, 1e-5);
        }
      }
      EXPECT_TRUE(at::equal(graph.hidden(4).cpu(), hidden.cpu()));
    }
  }
}

TEST_F(DecodeStepGpu, WhatCannotBeDrawnIsToldOfItsSampleAlone) {
  KeyValueCache cache(4, 1, 64, 64, CacheType::bf16, at::Device(at::kCUDA, 0));
  CudaDecodeNetwork broken = network(cache, DecodeFormat::bf16);
  broken.token_rows[1].fill_(std::nanf(""));
  CudaDecodeStep step(broken);
  std::vector<CudaDrawingStep> steps = drawing_steps(0, 2);  // tokens 0, 1, 2, 3
  EXPECT_EQ(step.draw(steps)[0][0].fault, DrawFault::not_finite);
  EXPECT_EQ(step.draw(steps)[0][1].fault, DrawFault::none);
  steps[0].draws[1].allowed = {{5, 0}};
  EXPECT_EQ(step.draw(steps)[0][1].fault, DrawFault::no_token);
  EXPECT_NO_THROW(require_drawn(DrawFault::none, "shape 1: code 7"));
  for (const DrawFault fault : {DrawFault::not_finite, DrawFault::no_token}) {
    try {
      require_drawn(fault, "shape 1: code 7");
      FAIL() << "no error";
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("shape 1: code 7"), std::string::npos);
    }
  }
}

TEST_F(DecodeStepGpu, StretchesThatDoNotFitAreRefused) {
  KeyValueCache cache(4, 1, 64, 64, CacheType::bf16, at::Device(at::kCUDA, 0));
  CudaDecodeStep step(network(cache, DecodeFormat::bf16));
  const auto refused = [&](const auto& change) {
    std::vector<CudaDrawingStep> steps = drawing_steps(0, 2);
    change(steps);
    try {
      (void)step.draw(steps);
    } catch (const Error&) {
      return true;
    }
    return false;
  };
  EXPECT_TRUE(refused([](auto& steps) { steps.clear(); }));
  EXPECT_TRUE(refused([](auto& steps) { steps.resize(65, steps[1]); }));
  EXPECT_TRUE(refused([](auto& steps) { steps[0].rows[1].token = CudaDecodeStepRow::kDrawn; }));
  EXPECT_TRUE(refused([](auto& steps) { steps[1].rows[1].token = 50; }));
  EXPECT_TRUE(refused([](auto& steps) { steps[1].rows.pop_back(); }));
  EXPECT_TRUE(refused([](auto& steps) { steps[1].draws.pop_back(); }));
  EXPECT_TRUE(refused([](auto& steps) { steps[1].draws[0].guidance.clear(); }));
  EXPECT_TRUE(refused([](auto& steps) { steps[1].draws[0].allowed = {{40, 11}}; }));
  EXPECT_TRUE(refused([](auto& steps) { steps[1].draws[0].settings.top_p = 0; }));
  EXPECT_FALSE(refused([](auto& /*steps*/) {}));
}

TEST_F(DecodeStepGpu, RowsThatPointElsewhereAreRefused) {
  KeyValueCache cache(3, 1, 64, 64, CacheType::bf16, at::Device(at::kCUDA, 0));
  CudaDecodeNetwork slotted = network(cache, DecodeFormat::bf16);
  slotted.slot_rows = slotted.next_slot_rows = at::randn({4, 128}).to(at::kCUDA);
  CudaDecodeStep step(slotted);
  const Tensor expected = step.run(rows_of_step(0, 2)).cpu();
  const auto refused = [&](const auto& change) {
    std::vector<CudaDecodeStepRow> rows = rows_of_step(0, 2);
    change(rows);
    try {
      step.run(rows);
    } catch (const Error& error) {
      return error.kind() == ErrorKind::internal;
    }
    return false;
  };
  EXPECT_TRUE(refused([](auto& rows) { rows.clear(); }));
  EXPECT_TRUE(refused([](auto& rows) { rows.resize(9, rows[0]); }));
  EXPECT_TRUE(refused([](auto& rows) { rows[1].token = -1; }));
  EXPECT_TRUE(refused([](auto& rows) { rows[1].token = 50; }));
  EXPECT_TRUE(refused([](auto& rows) { rows[1].slot = 4; }));
  EXPECT_TRUE(refused([](auto& rows) { rows[1].next_slot = -1; }));
  EXPECT_TRUE(refused([](auto& rows) { rows[1].cosine.pop_back(); }));
  EXPECT_TRUE(refused([](auto& rows) { rows[1].first.sequence = 3; }));
  EXPECT_TRUE(refused([](auto& rows) { rows[1].first.position = 64; }));
  EXPECT_TRUE(refused([](auto& rows) { rows[1].first.holder = 3; }));
  EXPECT_TRUE(refused([](auto& rows) { rows[1].first.group_first = 2; }));
  EXPECT_TRUE(at::equal(step.run(rows_of_step(0, 2)).cpu(), expected));
}

TEST_F(DecodeStepGpu, ANetworkThatDoesNotFitItselfIsRefused) {
  KeyValueCache cache(3, 1, 64, 64, CacheType::bf16, at::Device(at::kCUDA, 0)),
      shorter(3, 1, 32, 64, CacheType::bf16, at::Device(at::kCUDA, 0));
  EXPECT_EQ(CudaDecodeStep::refusal(network(cache, DecodeFormat::bf16)), "");
  const auto refused = [&](const auto& change) {
    CudaDecodeNetwork changed = network(cache, DecodeFormat::bf16);
    changed.layers.push_back(changed.layers[0]);
    change(changed, changed.layers[1]);
    EXPECT_THROW(CudaDecodeStep{changed}, Error);
    return !CudaDecodeStep::refusal(changed).empty();
  };
  EXPECT_TRUE(refused(
      [](auto& /*all*/, auto& layer) { layer.qkv = random_matrix(3 * 64, 128, DecodeFormat::bf16); }));
  EXPECT_TRUE(refused(
      [](auto& /*all*/, auto& layer) { layer.gate_up = random_matrix(96, 128, DecodeFormat::bf16); }));
  EXPECT_TRUE(
      refused([](auto& /*all*/, auto& layer) { layer.down = random_matrix(128, 96, DecodeFormat::int8); }));
  EXPECT_TRUE(refused([](auto& all, auto& /*layer*/) { all.inner = 64; }));
  EXPECT_TRUE(refused([](auto& all, auto& /*layer*/) { all.key_value_heads = 2; }));
  EXPECT_TRUE(refused([&](auto& /*all*/, auto& layer) { layer.cache = &shorter; }));
  EXPECT_TRUE(
      refused([](auto& all, auto& /*layer*/) { all.head = random_matrix(49, 128, DecodeFormat::bf16); }));
  EXPECT_TRUE(
      refused([](auto& all, auto& /*layer*/) { all.head = random_matrix(50, 128, DecodeFormat::int8); }));
}

TEST_F(DecodeStepGpu, BytesOfAWeightAreTheProcessors) {
  at::manual_seed(6);
  const Tensor weight = at::randn({37, 64});
  const DecodeWeight here(weight, DecodeFormat::int8);
  const Tensor there_on = weight.to(at::kCUDA);
  const CudaDecodeMatrix there = cuda_decode_matrix(there_on, {}, {}, DecodeFormat::int8);
  EXPECT_TRUE(
      at::equal(there.weight.cpu().to(at::kFloat) * there.scales.cpu().unsqueeze(1), here.unpacked()));
  EXPECT_TRUE(at::equal(there.sums.cpu(), here.panels().sums.narrow(0, 0, 37)));
}

}  // namespace
}  // namespace omni::kernels
