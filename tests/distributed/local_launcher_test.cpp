#include "omni/distributed/local_launcher.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>

#include "omni/core/error.h"
#include "rank_lines.h"
#include "rank_processes.h"

namespace omni::distributed {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(DistributedRankLines, AreMarkedAndErrorsToldOnce) {
  std::vector<std::string> told;
  RankLines lines(4, [&](const std::string& line) { told.push_back(line); });
  lines.add(1, "step 1\nste");
  lines.add(2, "omni: the disk is full\n");
  lines.add(1, "p 2\nlast");
  lines.add(3, "omni: the disk is full\nomni: rank 2 failed\n");
  EXPECT_EQ(told, (std::vector<std::string>{"[rank 1] step 1", "[rank 1] step 2"}));
  lines.finish("omni: rank 2 failed", [](int) { return false; });
  EXPECT_EQ(told, (std::vector<std::string>{"[rank 1] step 1", "[rank 1] step 2", "[rank 1] last",
                                            "[rank 2] omni: the disk is full"}));
}

// The launcher in a process of its own, of which this test sees what a user would see.
class DistributedLocalLauncher : public testing::Test {
 protected:
  static RankEnding run(int ranks, const std::string& scenario, const RankProcesses::Variables& more = {},
                        double seconds = 60) {
    RankProcesses launcher(1, "launch", variables(ranks, scenario, more));
    return launcher.wait_for(0, seconds);
  }
  static RankProcesses::Variables variables(int ranks, const std::string& scenario,
                                            RankProcesses::Variables more = {}) {
    more["LAUNCHED_RANKS"] = std::to_string(ranks);
    more["LAUNCHED_SCENARIO"] = scenario;
    return more;
  }
};

TEST_F(DistributedLocalLauncher, StartsRanksThatMeetAndEndsWithThem) {
  const RankEnding ending = run(3, "trains");
  EXPECT_EQ(ending.code, 0) << ending.output;
  EXPECT_THAT(ending.output, HasSubstr("[rank 1] done\n"));
  EXPECT_THAT(ending.output, HasSubstr("[rank 2] done\n"));
  EXPECT_THAT(ending.output, testing::ContainsRegex("(^|\n)done\n"));
}

TEST_F(DistributedLocalLauncher, EndsWithTheCodeOfTheFirstThatFailsAndOneMessage) {
  const RankEnding ending = run(3, "throws", {{"FAULTY_RANK", "1"}});
  EXPECT_EQ(ending.code, exit_code(ErrorKind::usage)) << ending.output;
  EXPECT_THAT(ending.output, HasSubstr("omni: rank 1 on "));
  const std::size_t first = ending.output.find("the disk is full");
  EXPECT_EQ(ending.output.find("the disk is full", first + 1), std::string::npos) << ending.output;
}

TEST_F(DistributedLocalLauncher, TellsOfARankThatCannotTellItself) {
  for (const std::string rank : {"0", "1"}) {
    const RankEnding ending = run(3, "is_killed", {{"FAULTY_RANK", rank}});
    EXPECT_EQ(ending.code, 128 + SIGKILL) << ending.output;
    EXPECT_THAT(ending.output, HasSubstr("omni: rank " + rank + " on "));
    const std::size_t first = ending.output.find("omni: ");
    EXPECT_EQ(ending.output.find("omni: ", first + 1), std::string::npos) << ending.output;
  }
}

TEST_F(DistributedLocalLauncher, KeepsTheCodesOfRunsThatWereStopped) {
  EXPECT_EQ(run(2, "stops").code, exit_code(ErrorKind::stopped));
  EXPECT_EQ(run(1, "trains").code, 0);
}

// A process that counts the signals that reach it.
TEST_F(DistributedLocalLauncher, HandsSignalsToEachRankOnce) {
  RankProcesses launcher(1, "launch", variables(2, "counts_signals"));
  ASSERT_TRUE(launcher.has_printed(0, "[rank 1] ready"));
  ASSERT_TRUE(launcher.has_printed(0, "\nready"));
  launcher.signal(0, SIGTERM);
  const RankEnding ending = launcher.wait_for(0);
  EXPECT_EQ(ending.code, exit_code(ErrorKind::stopped)) << ending.output;
  EXPECT_THAT(ending.output, HasSubstr("\nsignals: 1\n"));
  EXPECT_THAT(ending.output, HasSubstr("[rank 1] signals: 1\n"));
}

// A frozen rank neither beats nor hears.
TEST_F(DistributedLocalLauncher, KillsARankThatIsFrozen) {
  const RankEnding ending = run(3, "freezes", {{"FAULTY_RANK", "1"}, {"SILENCE_MS", "1500"}}, 40);
  EXPECT_FALSE(ending.too_late);
  EXPECT_EQ(ending.code, exit_code(ErrorKind::io)) << ending.output;
  EXPECT_THAT(ending.output, HasSubstr("rank 1 on "));
  EXPECT_THAT(ending.output, HasSubstr("no sign of life"));
}

TEST_F(DistributedLocalLauncher, RanksDieWithTheirLauncher) {
  const test::TemporaryDirectory folder;
  const std::string pipe = folder / "lives";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  // A rank holds the writing end: when the reading end sees its close, no rank is left.
  const int reading = ::open(pipe.c_str(), O_RDONLY | O_NONBLOCK);
  RankProcesses launcher(1, "launch", variables(2, "holds_pipe", {{"PIPE", pipe}}));
  ASSERT_TRUE(launcher.has_printed(0, "[rank 1] holds"));
  launcher.signal(0, SIGKILL);
  launcher.wait_for(0);
  char byte = 0;
  ssize_t count = -1;
  for (int tries = 0; tries < 500 && count != 0; ++tries) {
    count = ::read(reading, &byte, 1);
    ::usleep(10000);
  }
  ::close(reading);
  EXPECT_EQ(count, 0);
}

}  // namespace
}  // namespace omni::distributed
