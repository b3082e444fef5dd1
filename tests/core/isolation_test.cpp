#include "omni/core/isolation.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <thread>

#include "omni/core/error.h"
#include "sanitized.h"

namespace omni {
namespace {

using Bytes = std::vector<std::byte>;

std::string input_error(const std::function<Bytes()>& work, const IsolationLimits& limits = {}) {
  try {
    run_isolated(work, "cannot read mesh x", limits);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    EXPECT_TRUE(std::string(error.what()).starts_with("cannot read mesh x: ")) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

TEST(Isolation, ReturnsWhatTheWorkMade) {
  Bytes large(5'000'000);  // far more than a pipe holds
  for (std::size_t i = 0; i < large.size(); ++i) large[i] = static_cast<std::byte>(i * 7 >> 3);
  EXPECT_EQ(run_isolated([&] { return large; }, "x"), large);
  EXPECT_TRUE(run_isolated([] { return Bytes{}; }, "x").empty());
  int changed = 0;
  run_isolated(
      [&] {
        changed = 1;
        return Bytes{};
      },
      "x");
  EXPECT_EQ(changed, 0);
}

TEST(Isolation, CrashesBecomeErrors) {
  EXPECT_NE(input_error([]() -> Bytes { std::abort(); }).find("crashed"), std::string::npos);
  EXPECT_NE(input_error([]() -> Bytes {
              std::raise(SIGSEGV);
              return {};
            }).find("crashed"),
            std::string::npos);
  EXPECT_NE(input_error([]() -> Bytes { ::_exit(3); }).find("crashed"), std::string::npos);
  EXPECT_NE(input_error([]() -> Bytes { ::_exit(0); }).find("crashed"), std::string::npos);  // said nothing
}

TEST(Isolation, MemoryAndTimeAreBounded) {
  const std::string greedy = input_error(
      []() -> Bytes {
        Bytes all(std::size_t{400} << 20);
        return {all.back()};
      },
      {.memory_bytes = std::size_t{100} << 20});
  EXPECT_NE(greedy.find(test::kSanitized ? "crashed" : "100 MB"), std::string::npos) << greedy;
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_NE(input_error(
                []() -> Bytes {
                  for (;;) ::pause();
                },
                {.seconds = 0.3})
                .find("0.3 seconds"),
            std::string::npos);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(30));
}

TEST(Isolation, TheWorksErrorIsThrownAgain) {
  try {
    run_isolated([]() -> Bytes { fail(ErrorKind::io, "missing.png: not there"); }, "x");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::io);
    EXPECT_STREQ(error.what(), "missing.png: not there");
  }
}

// Pipes of one child must not stay open in another, or both wait for the slower one.
TEST(Isolation, RunsSideBySide) {
  std::vector<std::thread> threads;
  std::vector<Bytes> results(8);
  for (std::size_t t = 0; t < results.size(); ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 10; ++i)
        results[t] = run_isolated([t] { return Bytes(100'000, static_cast<std::byte>(t)); }, "x");
    });
  for (std::thread& thread : threads) thread.join();
  for (std::size_t t = 0; t < results.size(); ++t)
    EXPECT_EQ(results[t], Bytes(100'000, static_cast<std::byte>(t)));
}

TEST(Isolation, TheChildSpeaksToNobody) {
  ::testing::internal::CaptureStderr();
  run_isolated(
      [] {
        std::fprintf(stderr, "noise\n");
        std::fflush(stderr);
        return Bytes{};
      },
      "x");
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace omni
