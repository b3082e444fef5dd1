#include "omni/distributed/collectives.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "network_address.h"
#include "omni/core/error.h"
#include "omni/kernels/tensor.h"
#include "rank_processes.h"

namespace omni::distributed {
namespace {

using testing::HasSubstr;
using testing::Not;

void expect_success(const std::vector<RankEnding>& endings) {
  for (std::size_t rank = 0; rank < endings.size(); ++rank) {
    EXPECT_FALSE(endings[rank].too_late) << rank;
    EXPECT_EQ(endings[rank].code, 0) << rank << ": " << endings[rank].output;
  }
}

TEST(DistributedCollectives, OneProcessAloneNeedsNoOther) {
  const std::unique_ptr<Collectives> lone = make_lone_collectives();
  EXPECT_EQ(lone->rank(), 0);
  EXPECT_EQ(lone->size(), 1);
  const at::Tensor values = at::arange(5, at::kFloat);
  lone->all_reduce(values).wait();
  lone->broadcast(values, 0).wait();
  lone->barrier();
  EXPECT_TRUE(at::equal(values, at::arange(5, at::kFloat)));
  const at::Tensor part = at::empty({5});
  lone->reduce_scatter(values, part).wait();
  EXPECT_TRUE(at::equal(part, values));
  const at::Tensor whole = at::empty({5});
  lone->all_gather(part, whole).wait();
  EXPECT_TRUE(at::equal(whole, values));
}

TEST(DistributedCollectives, RefusesTensorsThatDoNotFit) {
  const std::unique_ptr<Collectives> lone = make_lone_collectives();
  EXPECT_THROW(lone->all_reduce(at::zeros({4, 4}).t()), Error);
  EXPECT_THROW(lone->all_reduce(at::zeros({4}, at::kBFloat16)), Error);
  EXPECT_THROW(lone->all_reduce(at::Tensor()), Error);
  EXPECT_THROW(lone->reduce_scatter(at::zeros({4}), at::zeros({3})), Error);
  EXPECT_THROW(lone->all_gather(at::zeros({4}), at::zeros({4}, at::kLong)), Error);
  EXPECT_THROW(lone->broadcast(at::zeros({4}), 1), Error);
}

// Copies that go by a tensor's version are made anew after a call.
TEST(DistributedCollectives, RaisesTheVersionOfWhatItWrites) {
  const std::unique_ptr<Collectives> lone = make_lone_collectives();
  const at::Tensor values = at::zeros({4});
  const std::uint32_t before = values._version();
  lone->broadcast(values, 0).wait();
  EXPECT_GT(values._version(), before);
}

// Over Gloo and over the double of NCCL.
struct Engine {
  const char* name;
  RankProcesses::Variables variables;
};
void PrintTo(const Engine& engine, std::ostream* out) { *out << engine.name; }
const Engine kEngines[] = {{"Gloo", {}}, {"Nccl", {{"OMNI_NCCL", OMNI_NCCL_DOUBLE}}}};

class DistributedEngines : public testing::TestWithParam<std::tuple<Engine, int>> {
 protected:
  std::vector<RankEnding> run(const std::string& scenario) const {
    const auto& [engine, count] = GetParam();
    RankProcesses ranks(count, scenario, engine.variables);
    return ranks.wait(120);
  }
};

TEST_P(DistributedEngines, EveryCallGivesTheSumInTheOrderOfTheRanks) { expect_success(run("every_call")); }
TEST_P(DistributedEngines, CallsGoOnBesideTheCaller) { expect_success(run("many_at_once")); }

INSTANTIATE_TEST_SUITE_P(All, DistributedEngines,
                         testing::Combine(testing::ValuesIn(kEngines), testing::Values(2, 5)),
                         [](const auto& info) {
                           return std::get<0>(info.param).name + std::to_string(std::get<1>(info.param));
                         });

class DistributedMismatch : public testing::TestWithParam<std::tuple<Engine, const char*>> {};

// Every rank ends with an error that says which call it is.
TEST_P(DistributedMismatch, IsFoundByEveryRank) {
  const auto& [engine, scenario] = GetParam();
  RankProcesses ranks(2, scenario, engine.variables);
  for (const RankEnding& ending : ranks.wait()) {
    EXPECT_FALSE(ending.too_late);
    EXPECT_EQ(ending.code, exit_code(ErrorKind::io)) << ending.output;
    EXPECT_THAT(ending.output, AllOf(HasSubstr("omni: rank "), HasSubstr("call 1, "))) << ending.output;
    if (std::string(engine.name) == "Gloo") EXPECT_THAT(ending.output, HasSubstr("where rank"));
  }
}

INSTANTIATE_TEST_SUITE_P(All, DistributedMismatch,
                         testing::Combine(testing::ValuesIn(kEngines),
                                          testing::Values("other_operation", "other_count", "other_type",
                                                          "other_order")),
                         [](const auto& info) {
                           return std::string(std::get<0>(info.param).name) + "_" + std::get<1>(info.param);
                         });

// Ranks of several hosts do not meet over 127.0.0.1, even where rank 0's name means that on its own host.
TEST(DistributedGloo, ConnectsHostsOverAnInterfaceThatOthersReach) {
  std::string address;
  try {
    address = address_towards("localhost", 1);
  } catch (const Error&) {
    GTEST_SKIP() << "this host has its own loop alone";
  }
  EXPECT_THAT(address, Not(testing::StartsWith("127.")));
  EXPECT_EQ(address_towards(address, 1), address);
  EXPECT_THROW(address_towards("no such host.invalid", 1), Error);
  RankProcesses ranks(2, "many_at_once", {{"HOSTS", "different"}});
  expect_success(ranks.wait());
}

TEST(DistributedGlooFailure, ARankThatHangsEndsTheOthersInTime) {
  RankProcesses ranks(3, "one_hangs", {{"PATIENCE_MS", "1500"}});
  for (const int rank : {0, 2}) {
    const RankEnding ending = ranks.wait_for(rank, 30);
    EXPECT_FALSE(ending.too_late);
    EXPECT_EQ(ending.code, exit_code(ErrorKind::io));
    EXPECT_THAT(ending.output, HasSubstr("rank 1 on "));
    EXPECT_THAT(ending.output, HasSubstr("did not answer in time"));
    EXPECT_THAT(ending.output, HasSubstr("all_reduce of 40000 Float"));
  }
}

TEST(DistributedGlooFailure, ARankThatDiesEndsTheOthersAtOnce) {
  RankProcesses ranks(2, "one_dies");
  EXPECT_EQ(ranks.wait_for(1).code, 9);
  const RankEnding ending = ranks.wait_for(0, 15);
  EXPECT_FALSE(ending.too_late);
  EXPECT_EQ(ending.code, exit_code(ErrorKind::io));
  EXPECT_THAT(ending.output, HasSubstr("rank 1 on "));
  EXPECT_THAT(ending.output, HasSubstr("is gone"));
}

class DistributedAbort : public testing::TestWithParam<Engine> {};

TEST_P(DistributedAbort, CallsCanBeEndedFromAnotherThread) {
  RankProcesses ranks(2, "aborted", GetParam().variables);
  const RankEnding ending = ranks.wait_for(0, 15);
  EXPECT_FALSE(ending.too_late);
  EXPECT_EQ(ending.code, exit_code(ErrorKind::io));
  EXPECT_EQ(ending.output, "the watchdog says why\nomni: the watchdog says why\n");
}

INSTANTIATE_TEST_SUITE_P(All, DistributedAbort, testing::ValuesIn(kEngines),
                         [](const auto& info) { return info.param.name; });

std::vector<RankEnding> spoil(const std::string& what, double seconds) {
  RankProcesses ranks(2, "many_at_once", {{"OMNI_NCCL", OMNI_NCCL_DOUBLE}, {"PATIENCE_MS", "1500"}},
                      {{1, {{"NCCL_DOUBLE", what}}}});
  return ranks.wait(seconds);
}

TEST(DistributedNcclFailure, ACallThatFailsIsTold) {
  const std::vector<RankEnding> endings = spoil("fail:7", 30);
  EXPECT_EQ(endings[1].code, exit_code(ErrorKind::io));
  EXPECT_THAT(endings[1].output,
              AllOf(HasSubstr("rank 1 on "), HasSubstr("call 7, all_reduce of 30011 Float"),
                    HasSubstr("fails as told")));
  // The other one waits for it until the time-out.
  EXPECT_FALSE(endings[0].too_late);
  EXPECT_EQ(endings[0].code, exit_code(ErrorKind::io));
  EXPECT_THAT(endings[0].output, HasSubstr("call 7, all_reduce of 30011 Float"));
}

TEST(DistributedNcclFailure, AnErrorThatComesLaterIsTold) {
  const std::vector<RankEnding> endings = spoil("error:7", 30);
  EXPECT_EQ(endings[1].code, exit_code(ErrorKind::io)) << endings[1].output;
  EXPECT_THAT(endings[1].output, HasSubstr("reports an error as told"));
}

// NCCL itself would wait for ever.
TEST(DistributedNcclFailure, ACallThatHangsEndsInTime) {
  for (const RankEnding& ending : spoil("hang:7", 30)) {
    EXPECT_FALSE(ending.too_late);
    EXPECT_EQ(ending.code, exit_code(ErrorKind::io));
    EXPECT_THAT(ending.output, AllOf(HasSubstr("call 7, "), HasSubstr("did not answer in 1.5 s")));
  }
}

TEST(DistributedNcclFailure, ACallThatIsLateIsNoFailure) { expect_success(spoil("delay:7", 30)); }

TEST(DistributedNcclFailure, ALibraryThatIsNoneIsNamed) {
  RankProcesses ranks(1, "many_at_once", {{"OMNI_NCCL", "/nowhere/libnccl.so.2"}});
  const RankEnding ending = ranks.wait_for(0);
  EXPECT_EQ(ending.code, exit_code(ErrorKind::usage));
  EXPECT_THAT(ending.output, AllOf(HasSubstr("/nowhere/libnccl.so.2"), HasSubstr("OMNI_NCCL")));
}

}  // namespace
}  // namespace omni::distributed
