// Which values are waited for when, among two ranks of which the other one is late.
#include "value_gathering.h"

#include <ATen/core/grad_mode.h>
#include <gmock/gmock.h>

#include "omni/kernels/tensor.h"
#include "omni/nn/parameters.h"
#include "omni/optimizer/groups.h"

namespace omni::training {
namespace {

using distributed::Pending;
using distributed::Reduction;

// Rank 0 of two. What rank 1 owns, sevens, comes when it is waited for and not before.
class LateCollectives final : public distributed::Collectives {
 public:
  LateCollectives() : Collectives(0, 2) {}
  void abort(const distributed::CollectiveError&) override {}

 private:
  struct Arrival final : Pending::Work {
    at::Tensor rest;
    void wait() override {
      const c10::NoGradGuard no_grad;
      rest.fill_(7);
    }
  };
  Pending start_all_gather(const at::Tensor& part, const at::Tensor& whole) override {
    const auto arrival = std::make_shared<Arrival>();
    arrival->rest = whole.narrow(0, part.numel(), whole.numel() - part.numel());
    return Pending(arrival);
  }
  Pending start_broadcast(const at::Tensor& values, int root) override {
    const auto arrival = std::make_shared<Arrival>();
    arrival->rest = root == 1 ? values : values.narrow(0, 0, 0);
    return Pending(arrival);
  }
  Pending start_all_reduce(const at::Tensor&, Reduction) override { return {}; }
  Pending start_reduce_scatter(const at::Tensor&, const at::Tensor&, Reduction) override { return {}; }
  Pending start_barrier() override { return {}; }
};

class ValueGatheringTest : public testing::Test {
 protected:
  ValueGatheringTest() {
    const nn::ParameterScope root(store_);
    root.add("table", {64, 8}, nn::Init::zeros());
    for (int i = 0; i < 3; ++i)
      root.sub("blocks")
          .sub(i)
          .unit(nn::ParameterUnit::Kind::block)
          .add("weight", {64, 8}, nn::Init::zeros());
    root.sub("head").unit(nn::ParameterUnit::Kind::final).add("weight", {64, 8}, nn::Init::zeros());
    optimizer::seal_for(store_, {}, {}, {.rank = 0, .ranks = 2}, {});
  }
  // Of the units: root, three blocks and the final one.
  std::vector<bool> arrived() const {
    std::vector<bool> arrived;
    for (const nn::ParameterUnit& unit : store_.units())
      arrived.push_back((unit.sections.at(0).values == 7).any().item<bool>());
    return arrived;
  }

  nn::ParameterStore store_{1};
  LateCollectives collectives_;
};

TEST_F(ValueGatheringTest, BlocksThatAreCalledWaitForTheirOwnValues) {
  ValueGathering values(store_, collectives_);
  const auto executor = values.executor(nn::make_plain_executor());
  values.begin();
  EXPECT_THAT(arrived(), testing::ElementsAre(true, false, false, false, true)) << "all but the blocks";
  const nn::Parameter& weight = store_.all().at(1);
  ASSERT_EQ(weight.unit, 1u);
  const auto version = weight.value._version();
  std::vector<bool> within;
  const auto block = [&](const std::vector<at::Tensor>& inputs) {
    within = arrived();
    return inputs;
  };
  EXPECT_EQ(executor->run(1, block, {at::ones({2})}).size(), 1u);
  EXPECT_THAT(within, testing::ElementsAre(true, true, false, false, true));
  EXPECT_GT(weight.value._version(), version) << "copies of the weight are out of date";
  executor->run(3, block, {});
  EXPECT_THAT(within, testing::ElementsAre(true, true, false, true, true));
  values.finish();  // of the block that nobody called
  EXPECT_THAT(arrived(), testing::Each(true));
}

TEST_F(ValueGatheringTest, WithoutAnExecutorAllAreThereAtOnce) {
  ValueGathering values(store_, collectives_);
  values.begin();
  EXPECT_THAT(arrived(), testing::Each(true));
}

}  // namespace
}  // namespace omni::training
