#include <unistd.h>

#include <csignal>
#include <iostream>
#include <thread>

#include "omni/core/error.h"
#include "omni/distributed/ranks.h"
#include "omni/kernels/tensor.h"
#include "rank_program.h"

namespace omni::distributed {
namespace {

std::chrono::milliseconds milliseconds(const std::string& name, const std::string& otherwise) {
  return std::chrono::milliseconds(std::stoi(variable(name, otherwise)));
}

RankTimes times_of_test() {
  return {.start = milliseconds("START_MS", "20000"),
          .call = milliseconds("CALL_MS", "20000"),
          .heartbeat = std::chrono::milliseconds(100),
          .silence = milliseconds("SILENCE_MS", "20000"),
          .grace = std::chrono::milliseconds(1000)};
}

// Runs `step` again and again, as training does, and says when it has begun.
void train(const std::function<void(Ranks&, int)>& step, int steps) {
  const at::Device device = test_device();
  run_ranks(read_launch_environment(), device, times_of_test(), [&](Ranks& ranks) {
    ranks.compare({{"config", variable("CONFIG", "a")}, {"vocabulary", variable("VOCABULARY", "v")}});
    for (int i = 0; i < steps; ++i) {
      step(ranks, i);
      ranks.collectives().all_reduce(at::ones({20000}).to(device)).wait();
      if (i == 3) std::cout << "under way\n" << std::flush;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    std::cout << "done\n" << std::flush;
  });
}

bool is_faulty() { return variable("FAULTY_RANK", "") == variable("RANK", "0"); }

constexpr int kForLong = 1 << 20;

void trains() {
  train([](Ranks&, int) {}, 50);
}

void trains_for_long() {
  train([](Ranks&, int) {}, kForLong);
}

void throws() {
  train(
      [](Ranks&, int i) {
        if (i == 5 && is_faulty()) fail(ErrorKind::usage, "the disk is full");
      },
      kForLong);
}

void hangs() {
  train(
      [](Ranks&, int i) {
        if (i == 5 && is_faulty()) std::this_thread::sleep_for(std::chrono::hours(1));
      },
      kForLong);
}

void exits() {
  train(
      [](Ranks&, int i) {
        if (i == 5 && is_faulty()) ::_exit(77);
      },
      kForLong);
}

void raises(int signal) {
  train(
      [signal](Ranks&, int i) {
        if (i == 5 && is_faulty()) ::kill(::getpid(), signal);
      },
      kForLong);
}
void is_killed() { raises(SIGKILL); }
void freezes() { raises(SIGSTOP); }

// All ranks stop after the same step, because a scheduler wants it.
void stops() {
  train(
      [](Ranks&, int i) {
        if (i == 5) fail(ErrorKind::stopped, "stopped after step 5");
      },
      kForLong);
}

// A rank that leaves later than the one that holds the store.
void leaves_late() {
  run_ranks(read_launch_environment(), at::kCPU, times_of_test(), [&](Ranks& ranks) {
    ranks.collectives().barrier();
    if (ranks.collectives().rank() > 0) std::this_thread::sleep_for(std::chrono::seconds(1));
  });
  std::cout << "left\n";
}

}  // namespace

std::map<std::string, Scenario> failure_scenarios() {
  return {{"trains", trains},
          {"trains_for_long", trains_for_long},
          {"throws", throws},
          {"hangs", hangs},
          {"exits", exits},
          {"is_killed", is_killed},
          {"freezes", freezes},
          {"stops", stops},
          {"leaves_late", leaves_late}};
}

}  // namespace omni::distributed
