#include "omni/kernels/decode_step.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <ostream>
#include <string>

#include "omni/kernels/add_norm.h"
#include "omni/kernels/swiglu.h"
#include "refusal.h"

namespace omni::kernels {
namespace {

using at::Tensor;

struct Case {
  std::string name;
  at::ScalarType type;
  DecodeFormat format;
  CacheType cache;
  std::int64_t heads, key_value_heads;
  bool centred, interleaved, biases, norms, head_norms, turned, two_places;
  bool twelve_bits = false;
  friend void PrintTo(const Case& own, std::ostream* out) { *out << own.name; }
};

constexpr std::int64_t kWidth = 96, kInner = 160, kHeadSize = 32, kLayers = 3, kSequences = 4,
                       kCapacity = 300;

// A network and what it is made of, with caches of its own each time it is asked for.
class Made {
 public:
  explicit Made(const Case& of) : case_(of) {
    network.type = of.type;
    network.width = kWidth;
    network.inner = kInner;
    network.heads = of.heads;
    network.key_value_heads = of.key_value_heads;
    network.head_size = kHeadSize;
    network.centred = of.centred;
    network.interleaved = of.interleaved;
    network.norm_epsilon = 1e-5;
    network.head_norm_epsilon = 1e-6;
    network.final_norm = norm(kWidth);
    const std::int64_t attended = of.heads * kHeadSize, stored = of.key_value_heads * kHeadSize;
    for (std::int64_t l = 0; l < kLayers; ++l) {
      DecodeStepLayer& layer = network.layers.emplace_back();
      layer.attention_norm = norm(kWidth);
      layer.mlp_norm = norm(kWidth);
      if (of.head_norms) {
        layer.query_norm = at::rand({kHeadSize}) + 0.5;
        layer.key_norm = at::rand({kHeadSize}) + 0.5;
      }
      layer.qkv = matrix(attended + 2 * stored, kWidth);
      layer.attention_out = matrix(kWidth, attended);
      layer.gate_up = matrix(2 * kInner, kWidth);
      layer.down = matrix(kWidth, kInner);
      layer.place = of.two_places && l > 0 ? 1 : 0;
    }
  }

  std::vector<KeyValueCache> caches() const {
    std::vector<KeyValueCache> made;
    for (std::int64_t l = 0; l < kLayers; ++l)
      made.emplace_back(kSequences, case_.key_value_heads, kCapacity, kHeadSize, case_.cache);
    return made;
  }
  DecodeStepNetwork over(std::vector<KeyValueCache>& caches) const {
    DecodeStepNetwork own = network;
    for (std::size_t l = 0; l < own.layers.size(); ++l) own.layers[l].cache = &caches[l];
    return own;
  }

  DecodeStepNetwork network;

 private:
  Tensor norm(std::int64_t size) const { return case_.norms ? at::rand({size}) + 0.5 : Tensor(); }
  DecodeStepMatrix matrix(std::int64_t outputs, std::int64_t inputs) const {
    const Tensor weight = at::randn({outputs, inputs}).div_(10).to(at::kBFloat16).to(at::kFloat);
    DecodeStepMatrix made;
    made.weight =
        case_.twelve_bits ? DecodeWeight::shortest(weight, case_.format) : DecodeWeight(weight, case_.format);
    EXPECT_EQ(made.weight.in_twelve_bits(), case_.twelve_bits);
    if (case_.biases) made.bias = at::randn({outputs});
    return made;
  }

  Case case_;
};

constexpr std::int32_t kLater = 3;  // so many rows of a sequence begin a second cache later than the first

// Rows of some sequences at given places.
struct Rows {
  std::vector<std::int32_t> sequences, first, second;
  Tensor embedded, cosine, sine;

  Rows(const Case& of, std::vector<std::int32_t> own, std::vector<std::int32_t> positions)
      : sequences(std::move(own)), first(std::move(positions)) {
    for (const std::int32_t position : first) second.push_back(std::max(0, position - kLater));
    const auto count = static_cast<std::int64_t>(sequences.size());
    embedded = at::randn({count, kWidth});
    if (!of.turned) return;
    const Tensor angles = at::randn({count, kHeadSize / 2});
    cosine = angles.cos();
    sine = angles.sin();
  }
  DecodeStepRows view() const {
    return {embedded, cosine, sine, {{{sequences, first, first}, {sequences, second, second}}}};
  }
};

// The same by the operations that a step stands for.
Tensor by_operations(const DecodeStepNetwork& network, const Rows& rows) {
  NormOptions norm;
  norm.kind = network.centred ? NormKind::layer : NormKind::root_mean_square;
  norm.epsilon = network.norm_epsilon;
  norm.output_type = network.type;
  Tensor residual = rows.embedded, delta;
  for (const DecodeStepLayer& layer : network.layers) {
    RotaryAttention attention;
    attention.heads = network.heads;
    attention.key_value_heads = network.key_value_heads;
    attention.head_size = network.head_size;
    attention.cosine = rows.cosine;
    attention.sine = rows.sine;
    attention.interleaved = network.interleaved;
    if (layer.query_norm.defined()) {
      attention.query_norm = layer.query_norm.unsqueeze(0);
      attention.key_norm = layer.key_norm.unsqueeze(0);
    }
    attention.norm_epsilon = network.head_norm_epsilon;
    const auto product = [](const Tensor& x, const DecodeStepMatrix& matrix) {
      return decode_linear(x, matrix.weight, matrix.bias);
    };
    auto [sum, normed] = add_norm(residual, delta, layer.attention_norm, norm);
    const Tensor attended = cached_attention(product(normed, layer.qkv), attention, *layer.cache,
                                             rows.sequences, layer.place == 0 ? rows.first : rows.second);
    std::tie(residual, normed) = add_norm(sum, product(attended, layer.attention_out), layer.mlp_norm, norm);
    delta = product(swiglu(product(normed, layer.gate_up)), layer.down);
  }
  return add_norm(residual, delta, network.final_norm, norm).second;
}

class DecodeStepTest : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    at::manual_seed(5);
    threads_ = at::get_num_threads();
  }
  void TearDown() override { at::set_num_threads(threads_); }

  const c10::NoGradGuard no_gradients_;
  int threads_ = 1;
};

TEST_P(DecodeStepTest, EqualsItsOperationsBitForBit) {
  const Made made(GetParam());
  // Steps of one row and of several, of which some come before, some after others, beyond a chunk.
  std::vector<Rows> steps;
  for (std::int32_t t = 0; t < 140; ++t) steps.emplace_back(GetParam(), std::vector{0}, std::vector{t});
  steps.emplace_back(GetParam(), std::vector{0, 0, 2, 3}, std::vector{140, 141, 0, 0});
  steps.emplace_back(GetParam(), std::vector{2, 3}, std::vector{1, 1});
  for (const int threads : {1, 2, 3}) {
    at::set_num_threads(threads);
    std::vector<KeyValueCache> own = made.caches(), expected = made.caches();
    DecodeStep step(made.over(own));
    const DecodeStepNetwork plain = made.over(expected);
    for (const Rows& rows : steps) {
      const Tensor output = step.run(rows.view());
      ASSERT_EQ(output.scalar_type(), GetParam().type);
      ASSERT_TRUE(output.equal(by_operations(plain, rows)));
    }
    for (std::size_t l = 0; l < own.size(); ++l) {
      EXPECT_TRUE(own[l].keys().equal(expected[l].keys()));
      EXPECT_TRUE(own[l].values().equal(expected[l].values()));
    }
  }
}

TEST_P(DecodeStepTest, ReadsSharedPrefixes) {
  const Made made(GetParam());
  std::vector<KeyValueCache> own = made.caches(), expected = made.caches();
  DecodeStep step(made.over(own));
  const DecodeStepNetwork plain = made.over(expected);
  const auto both = [&](const Rows& rows) {
    ASSERT_TRUE(step.run(rows.view()).equal(by_operations(plain, rows)));
  };
  for (std::int32_t t = 0; t < 260; ++t) both(Rows(GetParam(), {1}, {t}));
  for (std::vector<KeyValueCache>* caches : {&own, &expected})
    for (std::size_t l = 0; l < caches->size(); ++l)
      for (const std::int64_t other : {0, 2})
        (*caches)[l].share_prefix(1, other, made.network.layers[l].place == 0 ? 258 : 258 - kLater);
  both(Rows(GetParam(), {0, 1, 2}, {258, 260, 258}));
}

const Case kCases[] = {
    {"fp32", at::kFloat, DecodeFormat::fp32, CacheType::fp32, 3, 3, false, false, false, true, false, true,
     false},
    {"centred_with_biases", at::kFloat, DecodeFormat::fp32, CacheType::fp32, 4, 2, true, true, true, true,
     false, true, true},
    {"plain", at::kFloat, DecodeFormat::fp32, CacheType::bf16, 3, 1, false, false, false, false, false, false,
     false},
    {"fp32_in_twelve_bits", at::kFloat, DecodeFormat::fp32, CacheType::fp32, 4, 2, false, false, false, true,
     true, true, false, true},
    {"bf16", at::kBFloat16, DecodeFormat::bf16, CacheType::bf16, 4, 2, false, false, false, true, true, true,
     true},
    {"bf16_in_twelve_bits", at::kBFloat16, DecodeFormat::bf16, CacheType::bf16, 4, 4, true, true, true, false,
     true, true, true, true},
    {"int8", at::kBFloat16, DecodeFormat::int8, CacheType::int8, 4, 2, false, true, true, true, true, true,
     true},
};
INSTANTIATE_TEST_SUITE_P(Kinds, DecodeStepTest, testing::ValuesIn(kCases),
                         [](const auto& info) { return info.param.name; });

std::string refused(const std::function<void()>& action) {
  return test::refusal(ErrorKind::internal, action);
}

TEST(DecodeStepRefusals, NameWhatDoesNotFit) {
  const Case& of = kCases[4];
  const Made made(of);
  std::vector<KeyValueCache> caches = made.caches();
  const auto with = [&](const std::function<void(DecodeStepNetwork&)>& change) {
    DecodeStepNetwork network = made.over(caches);
    change(network);
    return refused([&] { const DecodeStep step(std::move(network)); });
  };
  EXPECT_EQ(with([](DecodeStepNetwork&) {}), "");
  EXPECT_NE(with([](auto& n) { n.layers[1].down = n.layers[1].qkv; }), "");
  EXPECT_NE(with([](auto& n) { n.layers[1].cache = nullptr; }), "");
  EXPECT_NE(with([](auto& n) { n.layers[2].place = 2; }), "");
  EXPECT_NE(with([](auto& n) { n.layers[0].mlp_norm = at::ones({kWidth + 1}); }), "");
  EXPECT_NE(with([](auto& n) { n.layers[0].qkv.bias = at::ones({3}); }), "");
  EXPECT_NE(with([](auto& n) { n.layers[0].key_norm = Tensor(); }), "");
  EXPECT_NE(with([](auto& n) { n.type = at::kHalf; }), "");
}

TEST(DecodeStepRefusals, LeaveTheCacheAsItWas) {
  const Case& of = kCases[4];
  const Made made(of);
  std::vector<KeyValueCache> caches = made.caches();
  DecodeStep step(made.over(caches));
  const Rows good(of, {0, 1}, {0, 0});
  const auto with = [&](const std::function<void(Rows&)>& change) {
    Rows rows = good;
    change(rows);
    return refused([&] { step.run(rows.view()); });
  };
  EXPECT_NE(with([](Rows& r) { r.embedded = r.embedded.to(at::kBFloat16); }), "");
  EXPECT_NE(with([](Rows& r) { r.embedded = at::zeros({2, kWidth + 1}); }), "");
  EXPECT_NE(with([](Rows& r) { r.cosine = Tensor(); }), "");
  EXPECT_NE(with([](Rows& r) { r.sine = at::zeros({1, kHeadSize / 2}); }), "");
  EXPECT_NE(with([](Rows& r) { r.first = {0, kCapacity}; }), "");
  EXPECT_NE(with([](Rows& r) { r.second = {0, -1}; }), "");
  EXPECT_NE(with([](Rows& r) { r.sequences = {0, kSequences}; }), "");
  EXPECT_NE(with([](Rows& r) { r.sequences = {0}; }), "");
  const auto rows = static_cast<std::size_t>(DecodeStep::kMostRows + 1);
  std::vector<std::int32_t> positions(rows);
  for (std::size_t i = 0; i < rows; ++i) positions[i] = static_cast<std::int32_t>(i);
  const Rows many(of, std::vector<std::int32_t>(rows, 0), positions);
  EXPECT_NE(refused([&] { step.run(many.view()); }), "");
  for (const KeyValueCache& cache : caches) EXPECT_EQ(cache.keys().count_nonzero().item<std::int64_t>(), 0);
  EXPECT_EQ(with([](Rows&) {}), "");
}

}  // namespace
}  // namespace omni::kernels
