#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include "omni/distributed/collectives.h"

namespace omni::distributed {

// A thread that carries out a rank's calls one after another, beside the caller.

class CallQueue {
 public:
  CallQueue();
  // Waits for the call in progress; those after it fail.
  ~CallQueue();
  CallQueue(const CallQueue&) = delete;
  CallQueue& operator=(const CallQueue&) = delete;

  // `work` runs on the thread. After the first that throws all others fail with the same error.
  Pending add(std::function<void()> work);
  // From any thread: all calls that have not ended fail with `reason`, unless one has failed before; the one
  // in progress when it returns or throws.
  void fail_all(const CollectiveError& reason);

 private:
  class Job;
  void run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::shared_ptr<Job>> jobs_;
  std::optional<CollectiveError> failure_;
  bool closing_ = false;
  std::thread thread_;
};

}  // namespace omni::distributed
