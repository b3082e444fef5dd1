#include "omni/nn/quantisers.h"

#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <cmath>

#include "omni/core/error.h"

namespace omni::nn {
namespace {

Tensor random_rows(std::int64_t n, std::int64_t d, std::uint64_t seed, double scale = 1.0) {
  CounterRng rng(seed);
  Tensor rows = at::empty({n, d});
  float* data = rows.data_ptr<float>();
  for (std::int64_t i = 0; i < n * d; ++i) data[i] = static_cast<float>(scale * rng.normal());
  return rows;
}

QuantiserConfig config_of(const std::string& kind) {
  QuantiserConfig config;
  config.unit_length = kind == "vq_unit_length";
  config.kind = config.unit_length ? "vq" : kind;
  config.levels = {8, 5, 2, 3};
  config.codebook_size = 16;
  config.codebook_dim = 4;
  return config;
}

class EveryQuantiser : public ::testing::TestWithParam<std::string> {};

TEST_P(EveryQuantiser, CodesAreFixedPointsAndNearest) {
  ParameterStore store(3);
  const auto quantiser = make_quantiser(ParameterScope(store), config_of(GetParam()));
  c10::NoGradGuard no_grad;
  const Tensor codebook = quantiser->codebook();
  ASSERT_EQ(codebook.size(0), quantiser->vocabulary());
  ASSERT_EQ(codebook.size(1), quantiser->dimensions());
  EXPECT_TRUE(at::equal(quantiser->nearest(codebook), at::arange(quantiser->vocabulary(), at::kLong)));

  const Tensor prepared = quantiser->prepare(random_rows(200, quantiser->dimensions(), 5).view({2, 100, -1}));
  const Quantised out = quantiser->quantise(prepared);
  ASSERT_EQ(out.indices.sizes(), at::IntArrayRef({2, 100}));
  EXPECT_TRUE(at::allclose(out.values, quantiser->lookup(out.indices), 1e-5, 1e-6));
  const Tensor brute = at::cdist(prepared.view({200, -1}), codebook);
  const Tensor chosen = brute.gather(1, out.indices.view({200, 1})).flatten();
  if (GetParam() != "fsq") {
    EXPECT_TRUE(at::allclose(chosen, std::get<0>(brute.min(1)), 1e-4, 1e-5));
  }
}

TEST_P(EveryQuantiser, GradientsPassStraightThrough) {
  ParameterStore store(3);
  const auto quantiser = make_quantiser(ParameterScope(store), config_of(GetParam()));
  Tensor prepared =
      quantiser->prepare(random_rows(10, quantiser->dimensions(), 7)).detach().requires_grad_(true);
  const Tensor weights = random_rows(10, quantiser->dimensions(), 8);
  (quantiser->quantise(prepared).values * weights).sum().backward();
  EXPECT_TRUE(at::allclose(prepared.grad(), weights));
}

INSTANTIATE_TEST_SUITE_P(Kinds, EveryQuantiser,
                         ::testing::Values("fsq", "vq", "vq_unit_length", "spherical"));

TEST(FiniteScalarQuantiser, EveryLevelIsReachedAndBounded) {
  const FiniteScalarQuantiser quantiser({8, 5, 2});
  const Tensor far = at::tensor({-50.f, 50.f}).view({2, 1}).expand({2, 3}).contiguous();
  const Tensor indices = quantiser.nearest(quantiser.prepare(far));
  EXPECT_EQ(indices[0].item<std::int64_t>(), 0);
  EXPECT_EQ(indices[1].item<std::int64_t>(), 8 * 5 * 2 - 1);
  const Tensor codebook = quantiser.codebook();
  EXPECT_GE(codebook.min().item<float>(), -1.0f);
  EXPECT_LE(codebook.max().item<float>(), 1.0f);
  const Tensor used = quantiser.nearest(quantiser.prepare(random_rows(20000, 3, 1, 2.0)));
  EXPECT_EQ(at::bincount(used, {}, 80).eq(0).sum().item<std::int64_t>(), 0);
}

TEST(FiniteScalarQuantiser, RejectsAnEmptyOrHugeProduct) {
  ParameterStore store;
  QuantiserConfig config;
  config.levels = {};
  EXPECT_THROW(make_quantiser(ParameterScope(store), config), Error);
  config.levels = {64, 64, 64, 64, 64, 64};
  EXPECT_THROW(make_quantiser(ParameterScope(store), config), Error);
}

TEST(KMeans, FindsSeparatedClusters) {
  const Tensor centres = random_rows(8, 3, 11, 50.0);
  const Tensor rows = centres.repeat_interleave(40, 0) + random_rows(320, 3, 12, 0.1);
  CounterRng rng(1);
  const Tensor found = k_means(rows, 8, 10, rng);
  const Tensor distance = std::get<0>(at::cdist(centres, found).min(1));
  EXPECT_LT(distance.max().item<float>(), 0.2f);
}

// Vectors around a few centres: after a k-means start and moving averages every code is used; a codebook that
// starts far away comes back to life.
TEST(VectorQuantiser, RevivesDeadCodes) {
  ParameterStore store(1);
  QuantiserConfig config = config_of("vq");
  config.decay = 0.9;
  VectorQuantiser quantiser(ParameterScope(store), config);
  Tensor codebook = store.find("codebook")->value;
  codebook.add_(1000.0);
  codebook[0].zero_();
  CounterRng rng(2);
  const Tensor centres = random_rows(16, 4, 21, 10.0);
  for (int step = 0; step < 300; ++step) {
    const Tensor rows = centres.repeat({16, 1}) + random_rows(256, 4, 100 + step, 0.05);
    quantiser.learn(rows, quantiser.nearest(rows), rng);
  }
  const Tensor rows = centres.repeat({64, 1}) + random_rows(1024, 4, 99, 0.05);
  const Tensor used = at::bincount(quantiser.nearest(rows), {}, 16).gt(0).sum();
  EXPECT_GE(used.item<std::int64_t>(), 14);
}

Tensor unit_circle(const std::vector<double>& angles) {
  Tensor rows = at::empty({std::int64_t(angles.size()), 2});
  for (std::size_t i = 0; i < angles.size(); ++i) {
    rows[std::int64_t(i)][0] = std::cos(angles[i]);
    rows[std::int64_t(i)][1] = std::sin(angles[i]);
  }
  return rows;
}

VectorQuantiser on_circle(const Tensor& codebook, double decay, double revival_share) {
  QuantiserConfig config = config_of("vq_unit_length");
  config.codebook_size = codebook.size(0);
  config.codebook_dim = 2;
  config.decay = decay;
  config.revival_share = revival_share;
  return VectorQuantiser(codebook, config);
}

TEST(UnitLengthQuantiser, FindsTheClustersOfUnitVectors) {
  CounterRng rng(2);
  std::vector<double> angles;
  for (int i = 0; i < 300; ++i) angles.push_back((i % 3) * 2.0 + 0.05 * rng.normal());
  const Tensor codebook = at::randn({3, 2});
  on_circle(codebook, 0.9, 0.02).start(unit_circle(angles), rng);
  const Tensor nearest = at::matmul(unit_circle({0.0, 2.0, 4.0}), codebook.t());
  EXPECT_GT(std::get<0>(nearest.max(1)).min().item<double>(), 0.999);
}

TEST(UnitLengthQuantiser, MovesDeadCodesToWhereTheErrorIs) {
  CounterRng rng(3);
  const Tensor codebook = unit_circle({0.0, 3.0});
  VectorQuantiser quantiser = on_circle(codebook, 0.5, 0.1);
  const Tensor rows = unit_circle({0.0, 0.0, 0.0, 1.0});  // the code at 3 is never the nearest
  for (int step = 0; step < 10; ++step) quantiser.learn(rows, quantiser.nearest(rows), rng);
  EXPECT_GT(at::matmul(rows, codebook.t()).amax(1).min().item<double>(), 0.999);
  EXPECT_TRUE(at::allclose(codebook.norm(2, {1}), at::ones({2})));
}

TEST(UnitLengthQuantiser, LengthsDoNotCount) {
  const Tensor codebook = unit_circle({0.0, 1.0, 2.5});
  const VectorQuantiser quantiser = on_circle(codebook * at::tensor({3.0, 0.1, 1.0}).view({3, 1}), 0.9, 0.02);
  EXPECT_TRUE(at::allclose(quantiser.codebook(), codebook));
  const Tensor prepared = quantiser.prepare(unit_circle({0.4, 0.9, 2.2}) * 7);
  EXPECT_TRUE(at::allclose(prepared, unit_circle({0.4, 0.9, 2.2})));
  EXPECT_TRUE(at::equal(quantiser.nearest(prepared), at::tensor({0, 1, 2}, at::kLong)));
}

TEST(SphericalQuantiser, StartsFromItsVectors) {
  ParameterStore store(1);
  SphericalQuantiser quantiser(ParameterScope(store), config_of("spherical"));
  c10::NoGradGuard no_grad;
  const Tensor prepared = quantiser.prepare(random_rows(16, 4, 31));
  CounterRng rng(2);
  quantiser.start(prepared.repeat({4, 1}), rng);
  const Tensor indices = quantiser.nearest(prepared);
  EXPECT_LT((quantiser.lookup(indices) - prepared).abs().mean().item<float>(), 0.1f);
}

}  // namespace
}  // namespace omni::nn
