#pragma once

#include <ATen/Parallel.h>
#include <immintrin.h>
#ifdef _OPENMP
#include <omp.h>
#endif

#include <atomic>
#include <cstdint>

#include "omni/kernels/row_range.h"

namespace omni::kernels {

// A thread of a team that walks through the same phases side by side: waking threads for each of hundreds of short phases
// takes longer than the phases.
class TeamThread {
 public:
  struct Meeting {
    std::atomic<int> arrived{0}, number{0};
  };
  TeamThread(int index, int count, Meeting& meeting) : index_(index), count_(count), meeting_(&meeting) {}

  int count() const { return count_; }
  bool is_first() const { return index_ == 0; }
  // This thread's part of so many tasks.
  RowRange share(std::int64_t tasks) const {
    return {tasks * index_ / count_, tasks * (index_ + 1) / count_};
  }

  // Returns when every thread has called it. Spins for about as long as phases take, then sleeps.
  void meet() const {
    const int number = meeting_->number.load(std::memory_order_relaxed);
    if (meeting_->arrived.fetch_add(1, std::memory_order_acq_rel) + 1 == count_) {
      meeting_->arrived.store(0, std::memory_order_relaxed);
      meeting_->number.store(number + 1, std::memory_order_release);
      if (count_ > 1) meeting_->number.notify_all();
      return;
    }
    constexpr int kSpins = 2000;
    for (int spin = 0; spin < kSpins; ++spin) {
      if (meeting_->number.load(std::memory_order_acquire) != number) return;
      _mm_pause();
    }
    meeting_->number.wait(number, std::memory_order_acquire);
  }

 private:
  int index_, count_;
  Meeting* meeting_;
};

// body(TeamThread) on each of LibTorch's threads; on this one alone within a parallel region.
template <class Body>
void run_team(const Body& body) {
  TeamThread::Meeting meeting;
#ifdef _OPENMP
  const int threads = at::in_parallel_region() ? 1 : at::get_num_threads();
#pragma omp parallel num_threads(threads) if (threads > 1)
  body(TeamThread(omp_get_thread_num(), omp_get_num_threads(), meeting));
#else
  body(TeamThread(0, 1, meeting));
#endif
}

}  // namespace omni::kernels
