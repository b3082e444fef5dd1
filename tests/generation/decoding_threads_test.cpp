#include "omni/generation/decoding_threads.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "omni/kernels/thread_count.h"

namespace omni::generation {
namespace {

TEST(DecodingThreads, ALargeModelTakesAllCoresWhereAnyIsIdle) {
  const auto threads = [](int running) {
    return decoding_threads({.weights = 1'000'000'000, .sequences = 1, .cores = 8, .running = running});
  };
  EXPECT_EQ(threads(1), 8);
  EXPECT_EQ(threads(8), 8);
  EXPECT_EQ(threads(9), 1) << "each core has another program to run";
}

TEST(DecodingThreads, ASmallModelTakesTheCoresThatAreIdle) {
  const auto threads = [](std::int64_t weights, std::int64_t sequences, int running) {
    return decoding_threads({.weights = weights, .sequences = sequences, .cores = 8, .running = running});
  };
  EXPECT_EQ(threads(3'000'000, 1, 1), 1);
  EXPECT_EQ(threads(3'000'000, 64, 1), 8);
  EXPECT_EQ(threads(3'000'000, 64, 4), 5);
  EXPECT_EQ(threads(3'000'000, 64, 30), 1);
}

TEST(DecodingThreads, AreSetForAWhile) {
  if (std::getenv("OMP_NUM_THREADS") != nullptr) GTEST_SKIP() << "OMP_NUM_THREADS says how many";
  const int before = at::get_num_threads();
  {
    const kernels::ThreadCount own(decoding_threads(3'000'000, 1));
    EXPECT_EQ(at::get_num_threads(), 1);
  }
  EXPECT_EQ(at::get_num_threads(), before);
}

}  // namespace
}  // namespace omni::generation
