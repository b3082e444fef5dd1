#include "omni/optimizer/group_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "omni/core/error.h"
#include "omni/optimizer/adamw.h"
#include "omni/optimizer/groups.h"
#include "omni/optimizer/muon.h"

namespace omni::optimizer {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

nn::ParameterScope block_of(nn::ParameterStore& store) {
  return nn::ParameterScope(store, "blocks.0").unit(nn::ParameterUnit::Kind::block);
}

// One step of AdamW from gradients of one sign moves every weight by the rate, and by the rate times its decay
// towards zero.
TEST(GroupRules, RateAndDecayFollowTheFirstPatternThatMatches) {
  nn::ParameterStore store(1);
  const nn::ParameterScope block = block_of(store);
  const at::Tensor up = block.add("up.weight", {4, 4}, nn::Init::ones()),
                   norm = block.add("norm.weight", {4}, nn::Init::ones()),
                   down = block.add("down.weight", {4, 4}, nn::Init::ones()),
                   table = store.add("embedding.weight", {4, 4}, nn::Init::ones());
  const GroupRules rules = {{.pattern = "*.norm.*", .learning_rate_factor = 2, .weight_decay = 0.25},
                            {.pattern = "blocks.*.down.weight", .learning_rate_factor = 0.5},
                            {.pattern = "*.weight", .weight_decay = 0}};
  const AdamWConfig config{.weight_decay = 0.5};
  seal_for(store, config, {}, {}, rules);
  AdamW optimizer(store, config, rules);
  for (const nn::Parameter& parameter : store.all()) parameter.value.grad().fill_(3);
  constexpr double kRate = 0.01;
  optimizer.step(kRate);
  const auto expected = [](double factor, double decay) {
    return 1 - kRate * factor * decay - kRate * factor;
  };
  EXPECT_NEAR(up[0][0].item<double>(), expected(1, 0), 1e-6);
  EXPECT_NEAR(norm[0].item<double>(), expected(2, 0.25), 1e-6)
      << "a vector, too, decays where a rule says so";
  EXPECT_NEAR(down[0][0].item<double>(), expected(0.5, 0.5), 1e-6) << "the usual decay";
  EXPECT_NEAR(table[0][0].item<double>(), expected(1, 0), 1e-6);
}

TEST(GroupRules, HoldForMuonsMatrices) {
  const auto moved = [](const GroupRules& rules) {
    nn::ParameterStore store(1);
    const nn::ParameterScope block = block_of(store);
    const at::Tensor up = block.add("up.weight", {6, 6}, nn::Init::normal(1)),
                     down = block.add("down.weight", {6, 6}, nn::Init::normal(1));
    const at::Tensor up_before = up.detach().clone(), down_before = down.detach().clone();
    const MuonConfig config{.enabled = true};
    seal_for(store, {}, config, {}, rules);
    Muon muon(store, config, 0.0, rules);
    at::manual_seed(3);
    for (const nn::Parameter& parameter : store.all()) parameter.value.grad().copy_(at::randn({6, 6}));
    muon.step(0.1);
    return std::pair{up.detach() - up_before, down.detach() - down_before};
  };
  const auto [up, down] = moved({});
  const auto [ruled_up, ruled_down] = moved({{.pattern = "*.down.*", .learning_rate_factor = 0.25}});
  EXPECT_TRUE(at::allclose(ruled_up, up, 1e-5, 1e-7));
  EXPECT_TRUE(at::allclose(ruled_down, 0.25 * down, 1e-4, 1e-6));
}

TEST(GroupRules, WithoutRulesSectionsAreThoseOfTheGroupsAlone) {
  nn::ParameterStore store(1);
  const nn::ParameterScope block = block_of(store);
  block.add("up.weight", {4, 4}, nn::Init::ones());
  block.add("norm.weight", {4}, nn::Init::ones());
  store.add("embedding.weight", {4, 4}, nn::Init::ones());
  seal_for(store, {}, {.enabled = true});
  std::vector<int> groups;
  for (const nn::ParameterUnit& unit : store.units())
    for (const nn::ParameterSection& section : unit.sections) groups.push_back(section.group);
  EXPECT_THAT(groups, ElementsAre(static_cast<int>(Group::plain), static_cast<int>(Group::plain),
                                  static_cast<int>(Group::orthogonal)));
}

TEST(GroupRules, OneThatIsLeftNothingIsNamed) {
  nn::ParameterStore store(1);
  store.add("blocks.0.up.weight", {4, 4}, nn::Init::ones());
  store.add("blocks.0.frozen", {4}, nn::Init::ones(), {.trainable = false});
  const auto refused = [&](const GroupRules& rules) -> std::string {
    try {
      (void)rules_of_parameters(store, rules);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage);
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(refused({{.pattern = "*"}}), "");
  EXPECT_THAT(refused({{.pattern = "*"}, {.pattern = "blocks.*.up.wieght"}}),
              AllOf(HasSubstr("optimizer_groups"), HasSubstr("'blocks.*.up.wieght'")));
  EXPECT_THAT(refused({{.pattern = "*.frozen"}}), HasSubstr("'*.frozen'"));
  EXPECT_THAT(refused({{.pattern = "*"}, {.pattern = "*.up.*"}}),
              AllOf(HasSubstr("'*.up.*'"), HasSubstr("patterns before it")));
}

}  // namespace
}  // namespace omni::optimizer
