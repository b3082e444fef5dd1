#pragma once

#include <signal.h>
#include <sys/types.h>

#include <string>
#include <vector>

namespace omni::distributed {

struct RankStart {
  std::vector<std::string> command;      // of /proc/self/exe, whatever its first word
  std::vector<std::string> environment;  // NAME=value
  int output = -1;                       // takes its standard output and error; -1: as of this process
  pid_t group = 0;                       // the process group that it joins; 0: its own
  sigset_t blocked_signals;
};

// Starts a process that is killed when this one dies. Throws Error(io).
pid_t start_rank(const RankStart& start);

// This process's environment with `changes` to it.
std::vector<std::string> environment_with(const std::vector<std::pair<std::string, std::string>>& changes);

std::vector<std::string> own_command();  // program and arguments of this process

}  // namespace omni::distributed
