#pragma once

#include <filesystem>
#include <memory>
#include <string_view>

namespace omni {

// Keeps other processes out of a run's files. The kernel holds the lock (flock), so it is free as soon as its
// process is gone, however that ended; on a file system without locks a warning is all that there is.
class RunLock {
 public:
  // Locks `file`, made with its folders where they are missing. `action` begins the errors ("training into
  // 'run'"). Throws Error(usage) where another holds the lock, saying who and since when, and Error(io).
  RunLock(std::filesystem::path file, std::string_view action);
  // Removes the file, and those folders made for it that are empty.
  ~RunLock();
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace omni
