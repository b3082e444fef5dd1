#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace omni::distributed {

struct LocalLaunch {
  int ranks = 1;
  std::vector<std::string> command;  // program and arguments; empty: those of this process
  // From the first failure of a rank to the end of those that do not end by themselves.
  std::chrono::milliseconds grace = std::chrono::seconds(15);
};

// Runs the command `ranks` times on this host, as ranks 0 to ranks - 1 of one run (launcher "omni"), and
// returns when all have ended: 0, or the exit code of the first that failed, 128 + signal where a signal
// ended it. The store of the run lies in this process, which must have no other work.
//
// Signals to this process (SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, and SIGTSTP of a terminal)
// reach each rank once; the ranks are a process group of their own. They are killed when this process dies.
// After a failure the others get the reason by the store; what has not ended after `grace`, a frozen rank
// say, is killed. Ranks that were asked to stop (exit codes 75 and 130) may take their time.
//
// Rank 0 writes where this process writes. Lines of the others go to standard error, as "[rank 3] ...", but
// not an error that was told already. Throws Error(io) where no process can be started.
int launch_local_ranks(const LocalLaunch& launch);

}  // namespace omni::distributed
