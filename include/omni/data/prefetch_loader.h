#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

namespace omni::data {

// Makes batches ahead of time on one background thread. Batches come in order; an exception of the producer
// is rethrown by the next() that would have returned its batch, and by every later one.
template <class Batch>
class PrefetchLoader {
 public:
  using Producer = std::function<Batch(std::int64_t index)>;

  // Calls produce(first), produce(first + 1), ... up to, not including, `end`, at most `depth` batches ahead.
  PrefetchLoader(Producer produce, std::int64_t first, std::int64_t end, std::size_t depth = 4)
      : produce_(std::move(produce)), next_index_(first), end_(end), depth_(depth > 0 ? depth : 1) {
    thread_ = std::thread([this] { run(); });
  }
  ~PrefetchLoader() {  // stops after the batch in progress
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
  PrefetchLoader(const PrefetchLoader&) = delete;
  PrefetchLoader& operator=(const PrefetchLoader&) = delete;

  std::optional<Batch> next() {  // waits; nothing after the last one
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !ready_.empty() || finished_; });
    if (!ready_.empty()) {
      std::optional<Batch> batch(std::move(ready_.front()));
      ready_.pop_front();
      changed_.notify_all();
      return batch;
    }
    if (error_) std::rethrow_exception(error_);
    return std::nullopt;
  }

 private:
  void run() {
    std::unique_lock lock(mutex_);
    while (!stopping_ && next_index_ < end_) {
      if (ready_.size() >= depth_) {
        changed_.wait(lock);
        continue;
      }
      const std::int64_t index = next_index_++;
      lock.unlock();
      std::optional<Batch> batch;
      std::exception_ptr failure;
      try {
        batch.emplace(produce_(index));
      } catch (...) {
        failure = std::current_exception();
      }
      lock.lock();
      if (failure) {
        error_ = failure;
        break;
      }
      ready_.push_back(std::move(*batch));
      changed_.notify_all();
    }
    finished_ = true;
    changed_.notify_all();
  }

  Producer produce_;
  std::int64_t next_index_, end_;
  std::size_t depth_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Batch> ready_;
  std::exception_ptr error_;
  bool stopping_ = false, finished_ = false;
  std::thread thread_;
};

}  // namespace omni::data
