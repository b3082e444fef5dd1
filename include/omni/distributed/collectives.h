#pragma once

#include <ATen/core/Tensor.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "omni/core/error.h"

namespace omni::distributed {

enum class Reduction { sum, maximum };

// What one rank failed to do, as the others see it.
class CollectiveError : public Error {
 public:
  CollectiveError(std::string message, int suspect, bool timed_out)
      : Error(ErrorKind::io, std::move(message)), suspect_(suspect), timed_out_(timed_out) {}
  int suspect() const { return suspect_; }  // the rank at fault; -1 where it is not known
  bool timed_out() const { return timed_out_; }

 private:
  int suspect_;
  bool timed_out_;
};

// A collective call at work. It holds the call's tensors until it is waited for or gone.
class Pending {
 public:
  class Work {
   public:
    virtual ~Work() = default;
    virtual void wait() = 0;
  };

  Pending() = default;  // of a call that is done
  explicit Pending(std::shared_ptr<Work> work) : work_(std::move(work)) {}
  // Returns when the call's results may be used: on a CPU when they are there, on a GPU when what the current
  // stream does from now on comes after them. Throws CollectiveError where a rank is gone, called something
  // else or does not come within the time-out. A second call returns at once.
  void wait() {
    if (work_ == nullptr) return;
    const std::shared_ptr<Work> work = std::move(work_);
    work->wait();
  }

 private:
  std::shared_ptr<Work> work_;
};

// What the ranks of a run do together. Every rank makes the same calls in the same order, from one thread; a
// call returns at once, its work goes on beside the caller, and calls are carried out one after another.
// Tensors are contiguous, of one device and, between ranks, of the same type and count; between call and wait
// what is read must not be written, what is written not be touched. Throws CollectiveError where an earlier
// call has failed, and Error(internal) for tensors that do not fit.
//
// On CPUs an element's sum is ((x0 + x1) + x2) + ..., in the order of the ranks, whatever the call and the
// tensor's size: all_reduce and reduce_scatter give the same bits. On GPUs the order is NCCL's, which repeats
// itself between runs of the same ranks over the same links.
class Collectives {
 public:
  virtual ~Collectives() = default;
  int rank() const { return rank_; }
  int size() const { return size_; }

  // In place, of fp32, fp64 or int64 values.
  Pending all_reduce(const at::Tensor& values, Reduction reduction = Reduction::sum);
  // `whole` is the parts of all ranks in order; the reduced part of this rank goes to `part`, which may be
  // that section of `whole`. The rest of `whole` is left as it was.
  Pending reduce_scatter(const at::Tensor& whole, const at::Tensor& part,
                         Reduction reduction = Reduction::sum);
  // `part`, of any type, goes to this rank's section of every rank's `whole`; it may be that section.
  Pending all_gather(const at::Tensor& part, const at::Tensor& whole);
  // In place, of any type.
  Pending broadcast(const at::Tensor& values, int root);
  // Returns when every rank has called it.
  void barrier();

  // How many calls this rank has begun: what ranks compare to find the one that hangs.
  std::int64_t calls_begun() const { return calls_; }
  // From any thread: the calls in progress end soon, and they and all later ones throw `reason`.
  virtual void abort(const CollectiveError& reason) = 0;

 protected:
  Collectives(int rank, int size) : rank_(rank), size_(size) {}

 private:
  virtual Pending start_all_reduce(const at::Tensor& values, Reduction reduction) = 0;
  virtual Pending start_reduce_scatter(const at::Tensor& whole, const at::Tensor& part,
                                       Reduction reduction) = 0;
  virtual Pending start_all_gather(const at::Tensor& part, const at::Tensor& whole) = 0;
  virtual Pending start_broadcast(const at::Tensor& values, int root) = 0;
  virtual Pending start_barrier() = 0;

  int rank_, size_;
  std::atomic<std::int64_t> calls_{0};
};

// Of one process alone: every call is done when it returns.
std::unique_ptr<Collectives> make_lone_collectives();

}  // namespace omni::distributed
