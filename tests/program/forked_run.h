#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

namespace omni::tools {

// Runs a command line of the program in a process of its own, without starting the program anew.

struct RunLimits {
  double seconds = 60;
  std::size_t more_memory_bytes = 0;  // beyond what is held already; 0: no limit
};

struct Ending {
  int code = 0;          // 128 + signal where a signal ended it
  bool stopped = false;  // still at work when the time was over
  std::string output;    // of standard output and standard error
};

// Runs `omni ARGUMENTS...` in `folder`. Nothing of the process that calls it may have started a thread
// before.
Ending run_forked(const std::vector<std::string>& arguments, const std::filesystem::path& folder,
                  const RunLimits& limits = {});

}  // namespace omni::tools
