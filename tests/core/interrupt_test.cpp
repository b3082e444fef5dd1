#include "omni/core/interrupt.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <functional>
#include <thread>

namespace omni {
namespace {

using namespace std::chrono_literals;

constexpr int kAlive = 7;

// How a process of its own ends that handles signals and does `work`.
int status_after(const std::function<void()>& work) {
  const pid_t child = ::fork();
  if (child == 0) {
    install_interrupt_handler();
    work();
    ::_exit(interrupt_requested() ? kAlive : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return status;
}

// A terminal signals the whole foreground group, and a launcher in it passes the signal on.
TEST(Interrupt, SignalsWithinASecondAreOne) {
  const int status = status_after([] {
    std::raise(SIGINT);
    std::raise(SIGINT);
    std::raise(SIGTERM);
    std::this_thread::sleep_for(300ms);
    std::raise(SIGINT);
  });
  ASSERT_TRUE(WIFEXITED(status)) << status;
  EXPECT_EQ(WEXITSTATUS(status), kAlive);
}

TEST(Interrupt, WhatSchedulersSendStopsAndCtrlCInterrupts) {
  for (const auto& [number, kind] : {std::pair{SIGINT, ErrorKind::interrupted},
                                     {SIGTERM, ErrorKind::stopped},
                                     {SIGUSR1, ErrorKind::stopped}}) {
    const int status = status_after([number = number] {
      std::raise(number);
      ::_exit(exit_code(stop_kind()));
    });
    ASSERT_TRUE(WIFEXITED(status)) << status;
    EXPECT_EQ(WEXITSTATUS(status), exit_code(kind)) << number;
  }
}

TEST(Interrupt, ALaterSecondSignalEndsTheProcess) {
  const int status = status_after([] {
    std::raise(SIGINT);
    std::this_thread::sleep_for(1100ms);
    std::raise(SIGTERM);
  });
  ASSERT_TRUE(WIFSIGNALED(status)) << status;
  EXPECT_EQ(WTERMSIG(status), SIGTERM);
}

}  // namespace
}  // namespace omni
