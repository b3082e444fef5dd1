#include "omni/tokenizers/grid_codes.h"

#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "omni/core/error.h"

namespace omni::tokenizers {
namespace {

using at::Tensor;

constexpr std::int64_t kChannels = 6, kWidth = 10;

nn::QuantiserConfig quantiser_config(const std::string& kind) {
  nn::QuantiserConfig config;
  config.kind = kind;
  config.levels = {9, 9, 9};
  config.codebook_size = 64;
  config.codebook_dim = 3;
  return config;
}

Tensor levels(std::int64_t batch, std::int64_t count) { return at::full({batch}, count, at::kLong); }

struct World {
  nn::ParameterStore store;
  GridCodes codes;
  explicit World(const std::string& kind, std::int64_t side = 4, bool adaptive = true)
      : codes(nn::ParameterScope(store).sub("bottleneck"), nn::ParameterScope(store).sub("decoder"),
              quantiser_config(kind), side, kChannels, kWidth, adaptive) {}
};

class GridCodesTest : public ::testing::TestWithParam<const char*> {
 protected:
  GridCodesTest() : world_(GetParam()), codes_(world_.codes) {
    at::manual_seed(7);
    h_ = at::randn({6, 4, 4, 4, kChannels});
    CounterRng rng(3);
    codes_.start(h_, rng);
  }
  const c10::NoGradGuard no_grad_;
  World world_;
  GridCodes& codes_;
  Tensor h_;
};

TEST_P(GridCodesTest, LengthsAreThoseOfWholeLevels) {
  EXPECT_EQ(codes_.lengths(), (std::vector<std::int64_t>{1, 9, 73}));
  EXPECT_EQ(codes_.code_count(), 73);
  EXPECT_EQ(codes_.levels_of(9), 2);
  EXPECT_EQ(codes_.levels_of(10), 0);
}

TEST_P(GridCodesTest, PrefixesAreDecodedAsTheyWereTrained) {
  const Tensor indices = codes_.indices(h_);
  ASSERT_EQ(indices.size(1), 73);
  for (std::int64_t level = 1; level <= 3; ++level) {
    const Tensor prefix = indices.narrow(1, 0, codes_.lengths()[static_cast<std::size_t>(level - 1)]);
    EXPECT_TRUE(
        at::allclose(codes_.features(prefix), codes_.quantise(h_, levels(6, level)).features, 1e-5, 1e-6))
        << level;
  }
  // Samples of one batch may count different numbers of levels.
  Tensor mixed = levels(6, 3);
  mixed[4] = 1;
  const auto coded = codes_.quantise(h_, mixed);
  EXPECT_TRUE(at::allclose(coded.features[4], codes_.features(indices.narrow(1, 0, 1))[4], 1e-5, 1e-6));
  EXPECT_TRUE(at::allclose(coded.features[3], codes_.features(indices)[3], 1e-5, 1e-6));
  // The codes of a level do not depend on how many follow.
  EXPECT_TRUE(coded.indices.select(1, 0).equal(indices.select(1, 0)));
}

// A mean over the cells would not: what a coarse code says of its cells would be the same in any order.
TEST_P(GridCodesTest, ACoarseCodeSeesWhereInItsCellThingsLie) {
  const auto coarse = [&](const Tensor& h) {
    return codes_.quantise(h, levels(6, 3)).vectors.view({6, 73, 3}).narrow(1, 1, 8);
  };
  EXPECT_GT((coarse(h_) - coarse(h_.flip({1}))).abs().max().item<double>(), 1e-2);
  const Tensor swapped = h_.view({6, 2, 2, 4, 4, kChannels}).flip({2}).reshape(h_.sizes());
  EXPECT_GT((coarse(h_) - coarse(swapped)).abs().max().item<double>(), 1e-2);
}

TEST_P(GridCodesTest, TheDecoderIsGivenWhatTheMixMakes) {
  std::vector<std::int64_t> seen;
  const auto coded =
      codes_.quantise(h_, levels(6, 3), [&](const Tensor& continuous, const Tensor& quantised) {
        EXPECT_EQ(continuous.sizes(), quantised.sizes());
        EXPECT_EQ(continuous.size(0), 6);
        EXPECT_TRUE(codes_.quantiser().lookup(codes_.quantiser().nearest(continuous)).allclose(quantised));
        seen.push_back(continuous.size(1));
        return continuous;
      });
  EXPECT_EQ(seen, (std::vector<std::int64_t>{1, 8, 64}));
  EXPECT_TRUE(coded.features.equal(codes_.continuous(h_, levels(6, 3)).features));
}

INSTANTIATE_TEST_SUITE_P(Kinds, GridCodesTest, ::testing::Values("vq", "fsq", "spherical"));

TEST(GridCodes, GradientsPassThroughThePrefixToEveryCell) {
  World world("fsq");
  at::manual_seed(8);
  Tensor h = at::randn({1, 4, 4, 4, kChannels}).set_requires_grad(true);
  (world.codes.quantise(h, levels(1, 1)).features * at::randn({1, 4, 4, 4, kWidth})).sum().backward();
  EXPECT_TRUE(h.grad().abs().amax(-1).gt(0).all().item<bool>());
  // Levels that do not count learn nothing.
  EXPECT_TRUE(world.store.find("bottleneck.levels.0.in.weight")->value.grad().abs().max().item<double>() > 0);
  EXPECT_EQ(world.store.find("bottleneck.in.weight")->value.grad().abs().max().item<double>(), 0);
}

TEST(GridCodes, OneLevelIsThePlainQuantiser) {
  World world("vq", 4, false);
  const c10::NoGradGuard no_grad;
  at::manual_seed(9);
  const Tensor h = at::randn({2, 4, 4, 4, kChannels});
  const auto parameter = [&](const char* name) { return world.store.find(name)->value; };
  const Tensor z = at::linear(at::layer_norm(h, {kChannels}, {}, {}, 1e-6), parameter("bottleneck.in.weight"),
                              parameter("bottleneck.in.bias"));
  const Tensor indices = world.codes.indices(h);
  EXPECT_EQ(world.codes.lengths(), (std::vector<std::int64_t>{64}));
  EXPECT_TRUE(at::equal(indices, world.codes.quantiser().nearest(z).flatten(1)));
  const Tensor values = world.codes.quantiser().lookup(indices).view(z.sizes());
  const Tensor expected = at::linear(values, parameter("decoder.in.weight"), parameter("decoder.in.bias")) +
                          parameter("decoder.positions");
  EXPECT_TRUE(world.codes.features(indices).allclose(expected, 1e-5, 1e-6));
  EXPECT_EQ(world.store.find("decoder.lengths"), nullptr);
}

TEST(GridCodes, WhatHasNoLevelsIsRefused) { EXPECT_THROW(World("vq", 6), Error); }

}  // namespace
}  // namespace omni::tokenizers
