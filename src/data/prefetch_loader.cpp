#include "omni/data/prefetch_loader.h"

#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>

namespace omni::data {

struct PrefetchLoader::State {
  Producer produce;
  std::int64_t next_index, end;
  std::size_t depth;
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<sequence::PackedSequence> ready;
  std::exception_ptr error;
  bool stopping = false, finished = false;
  std::thread thread;

  void run() {
    std::unique_lock lock(mutex);
    while (!stopping && next_index < end) {
      if (ready.size() >= depth) {
        changed.wait(lock);
        continue;
      }
      const std::int64_t index = next_index++;
      lock.unlock();
      std::optional<sequence::PackedSequence> batch;
      std::exception_ptr failure;
      try {
        batch = produce(index);
      } catch (...) {
        failure = std::current_exception();
      }
      lock.lock();
      if (failure) {
        error = failure;
        break;
      }
      ready.push_back(std::move(*batch));
      changed.notify_all();
    }
    finished = true;
    changed.notify_all();
  }
};

PrefetchLoader::PrefetchLoader(Producer produce, std::int64_t first, std::int64_t end, std::size_t depth)
    : state_(std::make_unique<State>()) {
  state_->produce = std::move(produce);
  state_->next_index = first;
  state_->end = end;
  state_->depth = depth > 0 ? depth : 1;
  state_->thread = std::thread([state = state_.get()] { state->run(); });
}

PrefetchLoader::~PrefetchLoader() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->stopping = true;
  }
  state_->changed.notify_all();
  state_->thread.join();
}

std::optional<sequence::PackedSequence> PrefetchLoader::next() {
  std::unique_lock lock(state_->mutex);
  state_->changed.wait(lock, [&] { return !state_->ready.empty() || state_->finished; });
  if (!state_->ready.empty()) {
    sequence::PackedSequence batch = std::move(state_->ready.front());
    state_->ready.pop_front();
    state_->changed.notify_all();
    return batch;
  }
  if (state_->error) std::rethrow_exception(state_->error);
  return std::nullopt;
}

}  // namespace omni::data
