#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>

#include "omni/core/error.h"
#include "rank_processes.h"

namespace omni::distributed {
namespace {

using testing::HasSubstr;
using Variables = RankProcesses::Variables;

const Variables kRankOneIsFaulty = {{"FAULTY_RANK", "1"}};

int lines_of(const std::string& text, const std::string& beginning) {
  int count = 0;
  for (std::size_t at = 0; at < text.size(); at = text.find('\n', at), at += at != std::string::npos)
    count += text.compare(at, beginning.size(), beginning) == 0;
  return count;
}

// Ended by itself, with `code` and one message, which names rank 1, its host and `reason`.
void expect_told(const RankEnding& ending, ErrorKind kind, const std::string& reason) {
  EXPECT_FALSE(ending.too_late) << ending.output;
  EXPECT_EQ(ending.code, exit_code(kind)) << ending.output;
  std::array<char, 256> host{};
  ::gethostname(host.data(), host.size() - 1);
  EXPECT_THAT(ending.output, HasSubstr(std::string("rank 1 on ") + host.data()));
  EXPECT_THAT(ending.output, HasSubstr(reason));
  EXPECT_EQ(lines_of(ending.output, "omni: "), 1) << ending.output;
}

TEST(FaultWatchdog, LeavesHealthyRanksAlone) {
  RankProcesses ranks(3, "trains");
  for (const RankEnding& ending : ranks.wait()) {
    EXPECT_EQ(ending.code, 0) << ending.output;
    EXPECT_EQ(ending.output, "under way\ndone\n");
  }
}

// Rank 0 holds the store, as without a launcher that does.
TEST(FaultWatchdog, TheRankThatHoldsTheStoreLeavesLast) {
  RankProcesses ranks(3, "leaves_late", {{"OMNI_TEST_OWN_STORE", "1"}});
  for (const RankEnding& ending : ranks.wait()) {
    EXPECT_EQ(ending.code, 0) << ending.output;
    EXPECT_EQ(ending.output, "left\n");
  }
}

TEST(FaultWatchdog, AnErrorOfOneRankEndsAllWithItsMessage) {
  RankProcesses ranks(3, "throws", kRankOneIsFaulty);
  for (const RankEnding& ending : ranks.wait()) expect_told(ending, ErrorKind::usage, "the disk is full");
}

TEST(FaultWatchdog, ARankThatDiesEndsTheOthers) {
  RankProcesses ranks(3, "exits", kRankOneIsFaulty);
  EXPECT_EQ(ranks.wait_for(1).code, 77);
  for (const int rank : {0, 2}) expect_told(ranks.wait_for(rank, 15), ErrorKind::io, "is gone");
}

TEST(FaultWatchdog, ARankThatIsKilledEndsTheOthers) {
  RankProcesses ranks(3, "trains_for_long");
  ASSERT_TRUE(ranks.has_printed(1, "under way"));
  ranks.signal(1, SIGKILL);
  for (const int rank : {0, 2}) expect_told(ranks.wait_for(rank, 15), ErrorKind::io, "is gone");
}

// Its threads live, so that it beats, but it comes to no call.
TEST(FaultWatchdog, ARankThatHangsEndsAllWithinTheTimeOfACall) {
  RankProcesses ranks(3, "hangs", {{"CALL_MS", "1500"}, {"FAULTY_RANK", "1"}});
  for (const RankEnding& ending : ranks.wait(30)) expect_told(ending, ErrorKind::io, "hangs");
}

TEST(FaultWatchdog, ARankThatIsFrozenEndsTheOthersAndItselfWhenContinued) {
  // Whether the store is still there then, or went with rank 0.
  for (const Variables& more : {Variables{}, Variables{{"OMNI_TEST_OWN_STORE", "1"}}}) {
    Variables variables = more;
    variables["SILENCE_MS"] = "1500";
    RankProcesses ranks(3, "trains_for_long", variables);
    ASSERT_TRUE(ranks.has_printed(1, "under way"));
    ranks.signal(1, SIGSTOP);
    for (const int rank : {0, 2}) expect_told(ranks.wait_for(rank, 30), ErrorKind::io, "no sign of life");
    ranks.signal(1, SIGCONT);
    const RankEnding continued = ranks.wait_for(1, 30);
    EXPECT_FALSE(continued.too_late);
    EXPECT_EQ(continued.code, exit_code(ErrorKind::io));
    EXPECT_EQ(lines_of(continued.output, "omni: "), 1) << continued.output;
  }
}

// The store answers nobody any more.
TEST(FaultWatchdog, TheRankThatHoldsTheStoreMayBeTheFrozenOne) {
  RankProcesses ranks(3, "trains_for_long", {{"SILENCE_MS", "1500"}, {"OMNI_TEST_OWN_STORE", "1"}});
  ASSERT_TRUE(ranks.has_printed(1, "under way"));
  ranks.signal(0, SIGSTOP);
  for (const int rank : {1, 2}) {
    const RankEnding ending = ranks.wait_for(rank, 30);
    EXPECT_FALSE(ending.too_late);
    EXPECT_EQ(ending.code, exit_code(ErrorKind::io));
    EXPECT_THAT(ending.output, HasSubstr("rank 0 on "));
    EXPECT_EQ(lines_of(ending.output, "omni: "), 1) << ending.output;
  }
  ranks.signal(0, SIGCONT);
  EXPECT_NE(ranks.wait_for(0, 30).code, 0);
}

TEST(FaultWatchdog, ARankThatNeverComesIsNamed) {
  RankProcesses ranks(2, "trains", {{"WORLD_SIZE", "3"}, {"START_MS", "1500"}});
  for (const RankEnding& ending : ranks.wait(30)) {
    EXPECT_EQ(ending.code, exit_code(ErrorKind::io));
    EXPECT_THAT(ending.output, HasSubstr("rank 2 has not come"));
    EXPECT_EQ(lines_of(ending.output, "omni: "), 1) << ending.output;
  }
}

TEST(FaultWatchdog, StoppedRanksEndAsStopped) {
  RankProcesses ranks(3, "stops");
  for (const RankEnding& ending : ranks.wait()) {
    EXPECT_EQ(ending.code, exit_code(ErrorKind::stopped)) << ending.output;
    EXPECT_EQ(ending.output, "under way\nomni: stopped after step 5\n");
  }
}

TEST(FaultWatchdog, RanksThatDifferAreToldWhatDiffersAndWhere) {
  RankProcesses ranks(3, "trains", {}, {{1, {{"CONFIG", "b"}}}});
  for (const RankEnding& ending : ranks.wait()) {
    EXPECT_EQ(ending.code, exit_code(ErrorKind::usage)) << ending.output;
    EXPECT_THAT(ending.output, HasSubstr("differ in 'config': ranks 0 and 2"));
    EXPECT_THAT(ending.output, HasSubstr("have a, rank 1"));
    EXPECT_THAT(ending.output, HasSubstr("has b"));
    EXPECT_EQ(lines_of(ending.output, "omni: "), 1) << ending.output;
  }
}

}  // namespace
}  // namespace omni::distributed
