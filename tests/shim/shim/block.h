#pragma once

#include <array>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "shim/async_copy.h"
#include "shim/bulk_copy.h"
#include "shim/fibre.h"
#include "shim/machine.h"
#include "shim/shared_memory.h"
#include "shim/warp_group.h"

namespace omni::shim {

constexpr unsigned kWarpSize = 32;

enum class ThreadState { ready, at_barrier, in_collective, waiting, ended };

// One thread of the block that runs.
struct Thread {
  uint3 index;
  unsigned number = 0;  // in the block, x fastest
  ThreadState state = ThreadState::ready;
  Site site{"", 0};
  bool predicate = false;
  const Collective* collective = nullptr;
  unsigned mask = 0;
  LaneRequest request{};
  std::uint64_t spins = 0;
  AsyncCopies copies;
  GroupProducts products;
  SharedBarrier* barrier = nullptr;  // that it waits for, a phase of this parity
  unsigned parity = 0;
  Fibre* fibre = nullptr;
};

// The threads of one block and the rules by which they go on.
class Block {
 public:
  // Runs on the pool's first fibres, which nobody else may use meanwhile.
  Block(dim3 grid, dim3 size, std::size_t shared_bytes, FibrePool& pool);

  // Throws omni::Error when the block does something wrong.
  void run(uint3 index, const Schedule& schedule, const std::function<void()>& thread);

  static Block& current();
  Thread& thread() { return *running_; }
  const uint3& index() const { return index_; }
  const dim3& size() const { return size_; }
  const dim3& grid() const { return grid_; }
  void* shared() { return shared_.data(); }
  std::size_t shared_bytes() const { return shared_.size(); }
  BulkCopies& bulk_copies() { return bulk_copies_; }
  GroupWaits& group_waits() { return group_waits_; }

  int barrier(bool predicate, Site site);
  void collective(const Collective& collective, unsigned mask, LaneRequest request, Site site);
  // Lets the other threads run until the barrier's phase of that parity has ended.
  void wait_for(SharedBarrier& barrier, unsigned parity, Site site);
  [[noreturn]] void fail_here(const std::string& what, Site site) const;

 private:
  void prepare(const Schedule& schedule);
  void run_thread(Thread& thread);
  Thread* next_of_pass();
  void suspend_running();
  bool run_warp(unsigned warp, const Schedule& schedule);
  bool run_warps(const Schedule& schedule);
  void put_in_order(std::span<unsigned> places, const Schedule& schedule);
  bool all_ended() const;
  void release_barrier();
  [[noreturn]] void report_stuck() const;
  std::string describe(const Thread& thread) const;
  void meet(const Thread& last);
  Thread* lane(unsigned warp, unsigned lane) {  // null beyond the block's last thread
    const unsigned number = warp * kWarpSize + lane;
    return number < threads_.size() ? &threads_[number] : nullptr;
  }
  static void thread_main(void* block);

  dim3 grid_, size_;
  uint3 index_{};
  SharedMemory shared_;
  BulkCopies bulk_copies_;
  GroupWaits group_waits_;
  std::vector<Thread> threads_;
  // The lanes of a warp, each of which runs once where it can, from one to the next.
  struct Pass {
    unsigned warp = 0, taken = 0;
    std::array<unsigned, kWarpSize> lanes{};
  } pass_;
  std::vector<unsigned> in_collective_;  // of each warp, the lanes that wait in one
  Thread* running_ = nullptr;
  const std::function<void()>* body_ = nullptr;
  std::exception_ptr error_;
  std::mt19937_64 random_;
  int true_predicates_ = 0;
};

}  // namespace omni::shim
