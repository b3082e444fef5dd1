// Ranks that share the work of a step against one that does all of it.
#include <gtest/gtest.h>

#include "full_sharding.h"
#include "gradient_reduction.h"
#include "omni/kernels/cast_linear.h"
#include "omni/kernels/tensor.h"
#include "omni/nn/cast_weights.h"
#include "section_exchange.h"
#include "stage_optimizer.h"
#include "thread_ranks.h"

namespace omni::training {
namespace {

constexpr int kSteps = 6, kMicroBatches = 4;

// Three blocks after a table, one of which the inputs of some micro-batches do not reach.
struct Network {
  nn::ParameterStore store{5};
  at::Tensor table;
  struct Block {
    at::Tensor up, norm, down;
  };
  std::vector<Block> blocks;
  std::unique_ptr<nn::BlockExecutor> executor = nn::make_plain_executor();

  Network() {
    const nn::ParameterScope root(store);
    table = root.sub("embedding").add("weight", {53, 24}, nn::Init::normal(0.5));
    root.add("codebook", {4, 3}, nn::Init::normal(1), {.trainable = false});
    for (int i = 0; i < 3; ++i) {
      const nn::ParameterScope block = root.sub("blocks").sub(i).unit(nn::ParameterUnit::Kind::block);
      blocks.push_back({block.add("up", {40, 24}, nn::Init::normal(0.2), {.stacked_rows = {24, 16}}),
                        block.add("norm", {40}, nn::Init::ones()),
                        block.add("down", {24, 40}, nn::Init::normal(0.2))});
    }
  }
  at::Tensor loss(int step, int micro_batch, at::ScalarType type) const {
    const at::Tensor tokens = (at::arange(48, at::kLong) * (micro_batch + 2) + 3 * step).remainder(53);
    at::Tensor x = at::embedding(table, tokens);
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      if (i == 1 && micro_batch % 2 == 1) continue;
      const auto body = [&block = blocks[i], type](const std::vector<at::Tensor>& in) {
        return std::vector<at::Tensor>{apply(block, in[0], type)};
      };
      x = executor->run(1 + i, body, {x})[0];
    }
    return (x - 0.1 * micro_batch).square().mean();
  }
  static at::Tensor apply(const Block& block, const at::Tensor& x, at::ScalarType type) {
    const nn::CastWeight up(block.up), down(block.down);
    const at::Tensor hidden =
        kernels::cast_linear(x.to(type), block.up, up.as(type), {}).to(at::kFloat) * block.norm;
    return x + kernels::cast_linear(at::tanh(hidden).to(type), block.down, down.as(type), {}).to(at::kFloat);
  }
};

struct Setting {
  Sharding sharding;
  bool muon;
  at::ScalarType type;
  bool restricted = false;
  optimizer::GroupRules rules = {};
  double average = 0;  // its decay: masters are then those of the average
};

struct Outcome {
  std::vector<at::Tensor> masters;
  std::vector<double> norms;
  std::int64_t state_bytes = 0;  // of rank 0's optimiser
};

void take_steps(Network& network, StageOptimizer& optimizer, distributed::Collectives& collectives,
                const Setting& setting, Outcome& outcome) {
  GradientReduction reduction(network.store, collectives);
  FullSharding sharding(network.store, collectives);
  if (setting.sharding == Sharding::full) network.executor = sharding.executor();
  if (setting.sharding == Sharding::optimizer)
    network.executor = optimizer.values().executor(nn::make_plain_executor());
  const int most = (kMicroBatches + collectives.size() - 1) / collectives.size();
  for (int step = 0; step < kSteps; ++step) {
    sharding.begin(most, FullSharding::Passes::forward_and_backward);
    for (int i = collectives.rank(); i < kMicroBatches; i += collectives.size()) {
      if (i + collectives.size() >= kMicroBatches) reduction.begin_last_backward();
      network.loss(step, i, setting.type).backward();
    }
    sharding.finish();
    reduction.finish();
    const optimizer::GradientMeasure measure = optimizer.step(0.01, 0.05);
    optimizer.update_average(step + 1);
    optimizer.zero_gradients();
    if (collectives.rank() == 0) outcome.norms.push_back(measure.norm.item<double>());
  }
  network.executor = nn::make_plain_executor();
}

Outcome train(int ranks, const Setting& setting) {
  Outcome outcome;
  test::run_thread_ranks(ranks, [&](distributed::Collectives& collectives) {
    Network network;
    StageOptimizer optimizer(network.store, {}, {.enabled = setting.muon}, setting.type, collectives,
                             setting.sharding, setting.rules, setting.average);
    if (setting.restricted) optimizer.restrict_to_rows({{"embedding.weight", {3, 5}}});
    take_steps(network, optimizer, collectives, setting, outcome);
    if (collectives.rank() == 0)
      for (const optimizer::SectionState& state : optimizer.section_state())
        outcome.state_bytes += static_cast<std::int64_t>(state.values.nbytes());
    if (setting.average > 0) optimizer.exchange_average();
    network.store.unseal([&](const nn::ParameterSection& section) {
      return gather_owned(section, section.masters, collectives);
    });
    std::vector<at::Tensor> masters;
    for (const nn::Parameter& parameter : network.store.all()) masters.push_back(parameter.master.clone());
    if (collectives.rank() == 0) outcome.masters = masters;
    collectives.barrier();
    // Nobody has another network than rank 0.
    for (std::size_t i = 0; i < masters.size(); ++i) EXPECT_TRUE(masters[i].equal(outcome.masters[i])) << i;
    collectives.barrier();
  });
  return outcome;
}

void expect_close(const Outcome& got, const Outcome& expected, double tolerance) {
  ASSERT_EQ(got.masters.size(), expected.masters.size());
  for (std::size_t i = 0; i < got.masters.size(); ++i)
    EXPECT_TRUE(at::allclose(got.masters[i], expected.masters[i], tolerance, tolerance))
        << i << ": " << (got.masters[i] - expected.masters[i]).abs().max().item<double>();
  for (std::size_t step = 0; step < got.norms.size(); ++step)
    EXPECT_NEAR(got.norms[step] / expected.norms[step], 1, tolerance) << step;
}

// Seven of them: some have no micro-batch in a step, and make the same calls.
class DistributedDataParallel : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Ranks, DistributedDataParallel, testing::Values(2, 3, 4, 7));

TEST_P(DistributedDataParallel, EndsWhereOneRankDoes) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16})
    for (const Sharding sharding : {Sharding::none, Sharding::optimizer, Sharding::full})
      expect_close(train(GetParam(), {sharding, false, type}), train(1, {Sharding::none, false, type}),
                   type == at::kFloat ? 1e-5 : 2e-3);
}

// What AdamW updates in parts may end in other last bits. Newton-Schulz makes much of directions in which there is nothing
// but rounding: with as many tokens as here the gradients have none.
TEST_P(DistributedDataParallel, MatricesOfMuonMayBeAnothersToUpdate) {
  expect_close(train(GetParam(), {Sharding::optimizer, true, at::kFloat}),
               train(GetParam(), {Sharding::none, true, at::kFloat}), 1e-4);
}

TEST_P(DistributedDataParallel, RestrictedRowsAreTheSameOnesWhereverTheyLie) {
  const Outcome alone = train(1, {Sharding::none, true, at::kFloat, true});
  expect_close(train(GetParam(), {Sharding::optimizer, true, at::kFloat, true}), alone, 1e-5);
  expect_close(train(GetParam(), {Sharding::full, false, at::kFloat, true}), alone, 1e-5);
  const Network untouched;
  EXPECT_TRUE(alone.masters[0].narrow(0, 0, 3).equal(untouched.table.narrow(0, 0, 3)));
  EXPECT_FALSE(alone.masters[0].narrow(0, 3, 5).equal(untouched.table.narrow(0, 3, 5)));
}

// Of one rank as of several: rates and decays by name, of AdamW's and of Muon's parameters, and the average.
TEST_P(DistributedDataParallel, GroupsByNameAndTheAverageAreSharded) {
  const optimizer::GroupRules rules = {{.pattern = "*.norm", .learning_rate_factor = 3, .weight_decay = 0.5},
                                       {.pattern = "blocks.1.*", .learning_rate_factor = 0},
                                       {.pattern = "embedding.*", .weight_decay = 1}};
  const Setting alone{
      .sharding = Sharding::none, .muon = false, .type = at::kFloat, .rules = rules, .average = 0.6};
  Setting shared = alone, full = alone;
  shared.sharding = Sharding::optimizer;
  full.sharding = Sharding::full;
  const Outcome expected = train(1, alone);
  expect_close(train(GetParam(), shared), expected, 1e-5);
  expect_close(train(GetParam(), full), expected, 1e-5);
  Setting muon = alone, shared_muon = shared;
  muon.muon = shared_muon.muon = true;
  // By groups the norm is summed in another order, of whose last bits Newton-Schulz makes much on some processors.
  expect_close(train(GetParam(), shared_muon), train(GetParam(), muon), 2e-3);
  // By a factor of 0 they stay, but for their norm, which an earlier rule takes.
  const Network untouched;
  const std::vector<nn::Parameter>& all = untouched.store.all();
  for (std::size_t i = 0; i < all.size(); ++i)
    EXPECT_EQ(expected.masters[i].equal(all[i].value),
              all[i].name == "blocks.1.up" || all[i].name == "blocks.1.down" || !all[i].trainable)
        << all[i].name;
}

// Where each rank has one micro-batch at most, full sharding adds up what the others do, in the same order. Of
// several it sums each over the ranks before the next.
TEST(DistributedSharding, FullShardingGivesTheSameBits) {
  for (const int ranks : {4, 7}) {
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
      const Outcome optimizer = train(ranks, {Sharding::optimizer, false, type}),
                    full = train(ranks, {Sharding::full, false, type});
      EXPECT_EQ(full.norms, optimizer.norms);
      for (std::size_t i = 0; i < full.masters.size(); ++i)
        EXPECT_TRUE(full.masters[i].equal(optimizer.masters[i])) << i;
    }
  }
}

TEST(DistributedSharding, DividesWhatTheOptimisersKeep) {
  const Outcome plain = train(4, {Sharding::none, false, at::kBFloat16}),
                sharded = train(4, {Sharding::optimizer, false, at::kBFloat16});
  EXPECT_GT(plain.state_bytes, 0);
  EXPECT_LT(static_cast<double>(sharded.state_bytes), 0.4 * static_cast<double>(plain.state_bytes));
}

}  // namespace
}  // namespace omni::training
