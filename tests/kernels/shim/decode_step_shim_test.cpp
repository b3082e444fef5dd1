// What a decoding step does beside its layers, each kernel against a few lines of plain code.
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <vector>

#include "decode_step_interface.h"
#include "omni/core/random.h"
#include "shim/device.h"
#include "shim/orders.h"
#include "swiglu_interface.h"

namespace omni::cuda {
namespace {

TEST(DecodeStepShim, BeginningTakesTheNextEntry) {
  constexpr int kWords = 700, kSteps = 3;
  std::vector<std::int32_t> table(kWords * kSteps);
  std::iota(table.begin(), table.end(), 1000);
  std::vector<std::int32_t> first;
  const auto run = [&] {
    std::vector<std::int32_t> current(kWords + 1, -1), seen;
    std::int32_t& counter = current.back() = 0;
    const OmniCudaDecodeBegin a{table.data(), current.data(), &counter, kWords};
    for (int step = 0; step < kSteps; ++step) {
      EXPECT_EQ(omni_cuda_decode_begin(&a, nullptr), 0);
      seen.insert(seen.end(), current.begin(), current.end());
    }
    return seen;
  };
  EXPECT_EQ(shim::for_every_order(run, first), "");
  for (int step = 0; step < kSteps; ++step) {
    for (int i = 0; i < kWords; ++i) ASSERT_EQ(first[step * (kWords + 1) + i], table[step * kWords + i]);
    EXPECT_EQ(first[step * (kWords + 1) + kWords], step + 1);
  }
}

TEST(DecodeStepShim, EmbeddingAddsTheRowsOfTokenAndSlots) {
  constexpr int kVocabulary = 11, kSlots = 4, kWidth = 300, kRows = 4;
  CounterRng rng(3);
  const auto numbers = [&](int count) {
    std::vector<float> values(count);
    for (float& x : values) x = static_cast<float>(rng.normal());
    return values;
  };
  const std::vector<float> tokens = numbers(kVocabulary * kWidth), slots = numbers(kSlots * kWidth),
                           next = numbers(kSlots * kWidth);
  // Given, drawn, none could be drawn, and one that is no token: the last two read row 0.
  const std::vector<std::int32_t> given = {5, -1, -1, 99}, drawn = {-1, 7}, of_row = {0, 1, 0, 0};
  const std::vector<std::int32_t> used = {5, 7, 0, 0}, slot = {0, 3, 1, 2}, next_slot = {1, 0, 3, 3};
  for (const bool with_slots : {false, true}) {
    std::vector<float> first;
    const auto run = [&] {
      std::vector<float> embedded(kRows * kWidth, NAN);
      const OmniCudaDecodeEmbed a{tokens.data(),
                                  with_slots ? slots.data() : nullptr,
                                  with_slots ? next.data() : nullptr,
                                  given.data(),
                                  drawn.data(),
                                  of_row.data(),
                                  slot.data(),
                                  next_slot.data(),
                                  embedded.data(),
                                  kVocabulary,
                                  kWidth,
                                  kRows};
      EXPECT_EQ(omni_cuda_decode_embed(&a, nullptr), 0);
      return embedded;
    };
    EXPECT_EQ(shim::for_every_order(run, first), "");
    for (int r = 0; r < kRows; ++r)
      for (int d = 0; d < kWidth; ++d) {
        float truth = tokens[used[r] * kWidth + d];
        if (with_slots) truth = truth + slots[slot[r] * kWidth + d] + next[next_slot[r] * kWidth + d];
        ASSERT_EQ(first[r * kWidth + d], truth);
      }
  }
}

TEST(DecodeStepShim, SwigluMatchesTheFormula) {
  constexpr int kRows = 3, kInner = 130;
  CounterRng rng(4);
  std::vector<__nv_bfloat16> gate_up;
  for (int i = 0; i < kRows * 2 * kInner; ++i) gate_up.emplace_back(static_cast<float>(4 * rng.normal()));
  gate_up[0] = -200.0f, gate_up[1] = 200.0f;
  std::vector<float> first;
  const auto run = [&] {
    std::vector<__nv_bfloat16> output(kRows * kInner, __nv_bfloat16(NAN));
    const OmniCudaSwiglu a{gate_up.data(), nullptr, output.data(), kRows, kInner, kOmniCudaBfloat16};
    EXPECT_EQ(omni_cuda_swiglu(&a, nullptr), 0);
    return std::vector<float>(output.begin(), output.end());
  };
  EXPECT_EQ(shim::for_every_order(run, first), "");
  for (int r = 0; r < kRows; ++r)
    for (int d = 0; d < kInner; ++d) {
      const double gate = float(gate_up[r * 2 * kInner + d]),
                   up = float(gate_up[r * 2 * kInner + kInner + d]);
      const double truth = gate / (1 + std::exp(-gate)) * up;
      EXPECT_NEAR(first[r * kInner + d], truth, std::abs(truth) / 250 + 1e-30);
    }
}

TEST(DecodeStepShim, DrawnTokensAppearInTheRing) {
  const std::vector<std::int32_t> tokens = {4, -1}, statuses = {0, 2};
  const std::vector<float> log_probabilities = {-0.5f, -3.0f};
  const std::int32_t counter = 3;
  std::vector<OmniCudaDecodeDrawn> ring(8, OmniCudaDecodeDrawn{-7, -7, 0, 0});
  const OmniCudaDecodePublish a{tokens.data(), statuses.data(), log_probabilities.data(),
                                &counter,      ring.data(),     2};
  EXPECT_EQ(omni_cuda_decode_publish(&a, nullptr), 0);
  for (int b = 0; b < 2; ++b) {
    EXPECT_EQ(ring[4 + b].token, tokens[b]);
    EXPECT_EQ(ring[4 + b].status, statuses[b]);
    EXPECT_EQ(ring[4 + b].log_probability, log_probabilities[b]);
    EXPECT_EQ(ring[4 + b].step, 3);
  }
  for (const int untouched : {0, 1, 2, 3, 6, 7}) EXPECT_EQ(ring[untouched].step, 0);
}

}  // namespace
}  // namespace omni::cuda
