#pragma once

#include <ATen/core/grad_mode.h>

#include <condition_variable>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "omni/distributed/ranks.h"
#include "omni/kernels/tensor.h"

namespace omni::test {

// Where the threads of a run meet: each leaves a tensor, the last to come makes a result of all of them, then
// all go on with it.
class ThreadMeeting {
 public:
  explicit ThreadMeeting(int ranks) : tensors_(static_cast<std::size_t>(ranks)) {}

  using Work = std::function<at::Tensor(const std::vector<at::Tensor>&)>;
  at::Tensor meet(int rank, const at::Tensor& tensor, const Work& work) {
    std::unique_lock lock(mutex_);
    tensors_[static_cast<std::size_t>(rank)] = tensor;
    const std::int64_t round = round_;
    if (++here_ == tensors_.size()) {
      result_ = work(tensors_);
      here_ = 0;
      ++round_;
      all_here_.notify_all();
    }
    all_here_.wait(lock, [&] { return round_ != round || broken_; });
    if (round_ == round) throw distributed::CollectiveError("another rank is gone", -1, false);
    return result_;
  }
  void break_up() {
    const std::lock_guard lock(mutex_);
    broken_ = true;
    all_here_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable all_here_;
  std::vector<at::Tensor> tensors_;
  at::Tensor result_;
  std::size_t here_ = 0;
  std::int64_t round_ = 0;
  bool broken_ = false;
};

class ThreadCollectives final : public distributed::Collectives {
 public:
  ThreadCollectives(ThreadMeeting& meeting, int rank, int size)
      : Collectives(rank, size), meeting_(&meeting) {}
  void abort(const distributed::CollectiveError& /*reason*/) override { meeting_->break_up(); }

 private:
  using Pending = distributed::Pending;
  using Reduction = distributed::Reduction;

  at::Tensor reduced(const at::Tensor& own, Reduction reduction) {
    return meeting_->meet(rank(), own, [&](const std::vector<at::Tensor>& all) {
      const at::NoGradGuard guard;
      at::Tensor result = all[0].clone();
      for (std::size_t i = 1; i < all.size(); ++i)
        result = reduction == Reduction::sum ? result + all[i] : at::maximum(result, all[i]);
      return result;
    });
  }
  Pending start_all_reduce(const at::Tensor& values, Reduction reduction) override {
    values.copy_(reduced(values, reduction));
    return {};
  }
  Pending start_reduce_scatter(const at::Tensor& whole, const at::Tensor& part,
                               Reduction reduction) override {
    part.copy_(reduced(whole, reduction).narrow(0, rank() * part.numel(), part.numel()));
    return {};
  }
  Pending start_all_gather(const at::Tensor& part, const at::Tensor& whole) override {
    whole.copy_(
        meeting_->meet(rank(), part, [](const std::vector<at::Tensor>& all) { return at::concat(all); }));
    return {};
  }
  Pending start_broadcast(const at::Tensor& values, int root) override {
    values.copy_(meeting_->meet(rank(), values, [&](const std::vector<at::Tensor>& all) {
      return all[static_cast<std::size_t>(root)].clone();
    }));
    return {};
  }
  Pending start_barrier() override {
    meeting_->meet(rank(), {}, [](const std::vector<at::Tensor>&) { return at::Tensor(); });
    return {};
  }

  ThreadMeeting* meeting_;
};

// What ranks say outside their collective calls.
class ThreadTexts {
 public:
  std::vector<std::string> gather(const std::string& name, const std::string& mine, int rank, int ranks) {
    std::unique_lock lock(mutex_);
    texts_[name][rank] = mine;
    changed_.notify_all();
    if (rank != 0) return {};
    changed_.wait(lock, [&] { return static_cast<int>(texts_[name].size()) == ranks; });
    std::vector<std::string> all;
    for (const auto& [number, text] : texts_[name]) all.push_back(text);
    return all;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, std::map<int, std::string>> texts_;
};

// Ranks that compare nothing: they have the same config in the same process.
class ThreadRanks : public distributed::Ranks {
 public:
  ThreadRanks(distributed::Collectives& collectives, ThreadTexts& texts)
      : collectives_(&collectives), texts_(&texts) {}
  distributed::Collectives& collectives() override { return *collectives_; }
  void compare(const std::vector<distributed::Fingerprint>&) override {}
  std::vector<std::string> gather(const std::string& name, const std::string& mine) override {
    return texts_->gather(name, mine, collectives_->rank(), collectives_->size());
  }

 private:
  distributed::Collectives* collectives_;
  ThreadTexts* texts_;
};

// Runs `work` once for each rank, in threads of this process that exchange through its memory, sums in the order
// of the ranks. An error of one rank is thrown again once all have ended; ranks that wait for it end with it.
inline void run_thread_ranks(int ranks, const std::function<void(distributed::Collectives&)>& work) {
  ThreadMeeting meeting(ranks);
  std::exception_ptr first_error;
  std::mutex error_mutex;
  std::vector<std::thread> threads;
  for (int rank = 0; rank < ranks; ++rank) {
    threads.emplace_back([&, rank] {
      ThreadCollectives own(meeting, rank, ranks);
      try {
        work(own);
      } catch (...) {
        const std::lock_guard lock(error_mutex);
        if (!first_error) first_error = std::current_exception();
        meeting.break_up();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  if (first_error) std::rethrow_exception(first_error);
}

}  // namespace omni::test
