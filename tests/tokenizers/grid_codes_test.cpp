#include "omni/tokenizers/grid_codes.h"

#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include "omni/core/error.h"

namespace omni::tokenizers {
namespace {

using at::Tensor;

nn::QuantiserConfig vq_config() {
  nn::QuantiserConfig config;
  config.kind = "vq";
  config.codebook_size = 64;
  config.codebook_dim = 3;
  return config;
}

// Smooth over the grid, so that coarse levels carry most of it.
Tensor smooth_vectors(std::int64_t batch, std::int64_t side, std::int64_t dims) {
  Tensor z = at::zeros({batch, side, side, side, dims});
  CounterRng rng(7);
  for (std::int64_t b = 0; b < batch; ++b)
    for (std::int64_t d = 0; d < dims; ++d) {
      const double x = rng.normal(), y = rng.normal(), offset = rng.normal();
      for (std::int64_t i = 0; i < side; ++i)
        for (std::int64_t j = 0; j < side; ++j)
          for (std::int64_t k = 0; k < side; ++k)
            z[b][i][j][k][d] = 0.3 * offset + 0.06 * (x * double(i) + y * double(j)) + 0.05 * rng.normal();
    }
  return z;
}

Tensor levels(std::int64_t batch, std::int64_t count) { return at::full({batch}, count, at::kLong); }

class GridCodesTest : public ::testing::TestWithParam<const char*> {
 protected:
  GridCodesTest() {
    nn::QuantiserConfig config = vq_config();
    config.kind = GetParam();
    config.levels = {9, 9, 9};
    codes_ = std::make_unique<GridCodes>(nn::ParameterScope(store_), config, 4, true);
    CounterRng rng(3);
    codes_->start(z_, rng);
  }
  const c10::NoGradGuard no_grad_;
  nn::ParameterStore store_;
  std::unique_ptr<GridCodes> codes_;
  const Tensor z_ = smooth_vectors(6, 4, 3);
};

TEST_P(GridCodesTest, LengthsAreThoseOfWholeLevels) {
  EXPECT_EQ(codes_->lengths(), (std::vector<std::int64_t>{1, 9, 73}));
  EXPECT_EQ(codes_->code_count(), 73);
  EXPECT_EQ(codes_->levels_of(9), 2);
  EXPECT_EQ(codes_->levels_of(10), 0);
}

TEST_P(GridCodesTest, ContinuousValuesAreTheMeansOverTheCells) {
  const Tensor whole = codes_->continuous(z_, levels(6, 1));
  const Tensor mean = z_.mean({1, 2, 3}, true).expand_as(z_);
  EXPECT_TRUE(at::allclose(whole, mean, 1e-5, 1e-6));
  const Tensor halves = codes_->continuous(z_, levels(6, 2));
  const Tensor corner = z_.slice(1, 2, 4).slice(2, 0, 2).slice(3, 2, 4).mean({1, 2, 3});
  EXPECT_TRUE(at::allclose(halves.select(1, 3).select(1, 1).select(1, 2), corner, 1e-5, 1e-6));
  EXPECT_TRUE(at::equal(codes_->continuous(z_, levels(6, 3)), z_));
}

TEST_P(GridCodesTest, PrefixValuesAreThoseOfQuantising) {
  const Tensor indices = codes_->indices(z_);
  ASSERT_EQ(indices.size(1), 73);
  for (std::int64_t level = 1; level <= 3; ++level) {
    const Tensor prefix = indices.narrow(1, 0, codes_->lengths()[static_cast<std::size_t>(level - 1)]);
    const auto coded = codes_->quantise(z_, levels(6, level));
    EXPECT_TRUE(at::allclose(codes_->values(prefix), coded.values, 1e-5, 1e-6)) << level;
    EXPECT_TRUE(at::equal(coded.indices, indices));
  }
  // Samples of one batch may count different numbers of levels.
  Tensor mixed = levels(6, 3);
  mixed[4] = 1;
  const Tensor values = codes_->quantise(z_, mixed).values;
  EXPECT_TRUE(at::allclose(values[4], codes_->values(indices.narrow(1, 0, 1))[4], 1e-5, 1e-6));
  EXPECT_TRUE(at::allclose(values[3], codes_->values(indices)[3], 1e-5, 1e-6));
}

TEST_P(GridCodesTest, EveryLevelBringsTheValuesNearer) {
  const Tensor indices = codes_->indices(z_);
  double last = z_.square().mean().item<double>();
  for (const std::int64_t length : codes_->lengths()) {
    const double error = (codes_->values(indices.narrow(1, 0, length)) - z_).square().mean().item<double>();
    EXPECT_LT(error, last) << length;
    last = error;
  }
  EXPECT_LT(last, 0.1 * z_.square().mean().item<double>());
}

// The residual of a level, by hand.
TEST_P(GridCodesTest, SecondLevelCodesWhatTheFirstLeft) {
  const Tensor indices = codes_->indices(z_);
  const Tensor gains = store_.find("gains")->value;
  const Tensor first = codes_->values(indices.narrow(1, 0, 1));
  const Tensor left = (z_ - first).slice(1, 0, 2).slice(2, 0, 2).slice(3, 0, 2).mean({1, 2, 3});
  Tensor unit = left / gains[1];
  if (std::string(GetParam()) == "fsq") unit = unit.clamp(-1, 1);
  EXPECT_TRUE(at::equal(codes_->quantiser().nearest(unit), indices.select(1, 1)));
}

INSTANTIATE_TEST_SUITE_P(Kinds, GridCodesTest, ::testing::Values("vq", "fsq"));

TEST(GridCodes, GradientsPassToTheMeansThatCount) {
  nn::ParameterStore store;
  const GridCodes codes(nn::ParameterScope(store), vq_config(), 4, true);
  Tensor z = smooth_vectors(1, 4, 3).set_requires_grad(true);
  codes.quantise(z, levels(1, 2)).values.select(1, 0).select(1, 0).select(1, 0).sum().backward();
  // One place takes the mean over its half-grid cell: 8 places share the gradient of 1.
  const Tensor gradient = z.grad()[0].select(-1, 0);
  EXPECT_NEAR(gradient.slice(0, 0, 2).slice(1, 0, 2).slice(2, 0, 2).sum().item<double>(), 1, 1e-6);
  EXPECT_NEAR(gradient.abs().sum().item<double>(), 1, 1e-6);
  EXPECT_NEAR(gradient[1][1][1].item<double>(), 0.125, 1e-6);
}

TEST(GridCodes, OneLevelIsThePlainQuantiser) {
  nn::ParameterStore store;
  const GridCodes codes(nn::ParameterScope(store), vq_config(), 4, false);
  const c10::NoGradGuard no_grad;
  const Tensor z = smooth_vectors(2, 4, 3);
  EXPECT_EQ(codes.lengths(), (std::vector<std::int64_t>{64}));
  const Tensor indices = codes.indices(z);
  EXPECT_TRUE(at::equal(indices, codes.quantiser().nearest(z).flatten(1)));
  EXPECT_TRUE(at::equal(codes.values(indices), codes.quantiser().lookup(indices).view(z.sizes())));
  EXPECT_EQ(store.find("gains"), nullptr);
}

TEST(GridCodes, WhatHasNoLevelsIsRefused) {
  nn::ParameterStore store;
  const nn::ParameterScope scope(store);
  EXPECT_THROW(GridCodes(scope.sub("six"), vq_config(), 6, true), Error);
  nn::QuantiserConfig spherical = vq_config();
  spherical.kind = "spherical";
  EXPECT_THROW(GridCodes(scope.sub("spherical"), spherical, 4, true), Error);
}

}  // namespace
}  // namespace omni::tokenizers
