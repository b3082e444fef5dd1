#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace omni {

// What a child process may use before it is stopped.
struct IsolationLimits {
  std::size_t memory_bytes = std::size_t{1} << 30;  // beyond what this process holds already
  double seconds = 60;                              // of wall time
};

// Runs `work` in a forked child and returns the bytes that it made: for libraries that crash, hang or take
// all memory on bad bytes. `work` must start no threads and use none; what it changes in memory is lost, and
// so is what it writes to standard output and standard error. Rethrows the work's Error. Throws Error(input),
// beginning with `trying`, where the child crashed or went beyond its limits, Error(interrupted) on Ctrl-C
// and Error(io) where no process can be started.
std::vector<std::byte> run_isolated(const std::function<std::vector<std::byte>()>& work,
                                    const std::string& trying, const IsolationLimits& limits = {});

}  // namespace omni
