#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <iostream>
#include <thread>

#include "omni/core/error.h"
#include "omni/core/interrupt.h"
#include "omni/distributed/launch_environment.h"
#include "omni/distributed/local_launcher.h"
#include "rank_program.h"

namespace omni::distributed {
namespace {

// Is the launcher of the scenario LAUNCHED_SCENARIO.
void launch() {
  ::unsetenv("RANK");
  ::unsetenv("WORLD_SIZE");
  ::unsetenv("OMNI_LAUNCHER");
  const int code = launch_local_ranks({.ranks = std::stoi(variable("LAUNCHED_RANKS", "2")),
                                       .command = {"rank_program", variable("LAUNCHED_SCENARIO", "")},
                                       .grace = std::chrono::milliseconds(3000)});
  std::cout.flush();
  std::_Exit(code);
}

volatile std::sig_atomic_t signals = 0;

void counts_signals() {
  struct sigaction action {};
  action.sa_handler = [](int) { signals = signals + 1; };
  ::sigaction(SIGTERM, &action, nullptr);
  std::cout << "\nready\n" << std::flush;
  while (signals == 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  std::this_thread::sleep_for(std::chrono::milliseconds(300));  // for one too many
  std::cout << "\nsignals: " << signals << '\n' << std::flush;
  fail(ErrorKind::stopped, "stopped");
}

void holds_pipe() {
  const int pipe = ::open(variable("PIPE", "").c_str(), O_WRONLY);
  ensure(pipe >= 0, "the pipe opens");
  std::cout << "holds\n" << std::flush;
  std::this_thread::sleep_for(std::chrono::hours(1));
}

}  // namespace

std::map<std::string, Scenario> launch_scenarios() {
  return {{"launch", launch}, {"counts_signals", counts_signals}, {"holds_pipe", holds_pipe}};
}

}  // namespace omni::distributed
