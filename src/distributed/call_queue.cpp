#include "call_queue.h"

#include "omni/kernels/profiled_range.h"

namespace omni::distributed {

class CallQueue::Job final : public Pending::Work {
 public:
  explicit Job(std::function<void()> work) : work_(std::move(work)) {}

  void wait() override {
    std::unique_lock lock(mutex_);
    ended_.wait(lock, [&] { return has_ended_; });
    if (failure_) throw CollectiveError(*failure_);
  }
  void work() { work_(); }
  void end(const std::optional<CollectiveError>& failure) {
    work_ = nullptr;  // and with it the tensors
    const std::lock_guard lock(mutex_);
    failure_ = failure;
    has_ended_ = true;
    ended_.notify_all();
  }

 private:
  std::function<void()> work_;
  std::mutex mutex_;
  std::condition_variable ended_;
  bool has_ended_ = false;
  std::optional<CollectiveError> failure_;
};

CallQueue::CallQueue() : thread_([this] { run(); }) {}

CallQueue::~CallQueue() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
    if (!failure_) failure_.emplace("this rank has ended its calls", -1, false);
    changed_.notify_all();
  }
  thread_.join();
}

Pending CallQueue::add(std::function<void()> work) {
  const std::lock_guard lock(mutex_);
  if (failure_) throw CollectiveError(*failure_);
  auto job = std::make_shared<Job>(std::move(work));
  jobs_.push_back(job);
  changed_.notify_all();
  return Pending(std::move(job));
}

void CallQueue::fail_all(const CollectiveError& reason) {
  const std::lock_guard lock(mutex_);
  if (!failure_) failure_ = reason;
}

void CallQueue::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return closing_ || !jobs_.empty(); });
    if (jobs_.empty()) return;
    const std::shared_ptr<Job> job = std::move(jobs_.front());
    jobs_.pop_front();
    if (!failure_) {
      lock.unlock();
      std::optional<CollectiveError> failure;
      try {
        const kernels::ProfiledRange profiled("communication", kernels::ProfiledRange::Kind::phase);
        job->work();
      } catch (const CollectiveError& error) {
        failure = error;
      } catch (const std::exception& error) {
        failure.emplace(error.what(), -1, false);
      }
      lock.lock();
      if (failure && !failure_) failure_ = failure;
    }
    job->end(failure_);
  }
}

}  // namespace omni::distributed
