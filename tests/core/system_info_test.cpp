#include "omni/core/system_info.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

namespace omni {
namespace {

TEST(SystemInfo, CountsWhatWantsACore) {
  EXPECT_GE(running_tasks(), 1);
  std::atomic<bool> stop = false;
  std::vector<std::jthread> busy;
  for (int i = 0; i < 5; ++i)
    busy.emplace_back([&] {
      while (!stop) continue;
    });
  int most = 0;
  for (int i = 0; i < 1000 && most < 5; ++i) {
    most = std::max(most, running_tasks());
    std::this_thread::yield();
  }
  stop = true;
  EXPECT_GE(most, 5);
}

TEST(SystemInfo, AvailableMemoryFollowsWhatIsTaken) {
  const std::uint64_t before = available_memory_bytes();
  EXPECT_GT(before, 0u);
  EXPECT_LE(before, memory_bytes());
  constexpr std::size_t kTaken = std::size_t{512} << 20;
  if (before < 2 * kTaken) GTEST_SKIP() << "the machine has no memory left to take";
  const std::vector<char> taken(kTaken, 1);
  // Others come and go meanwhile.
  EXPECT_LT(available_memory_bytes(), before - kTaken / 4);
}

}  // namespace
}  // namespace omni
