#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "shim/types.h"

namespace omni::shim {

// The machine that runs a kernel: one block after the other, and in a block one warp after the other, each as
// far as it gets before the next one starts. So two threads that touch the same memory with nothing between
// them that orders them meet in opposite ways in the two directions.
enum class Order { forward, reversed, random };
struct Schedule {
  Order order = Order::forward;
  std::uint64_t seed = 0;      // of Order::random
  bool shuffle_blocks = true;  // false: blocks always run forward, for kernels that add floats atomically
};

// Applies to the launches of this operating-system thread while it lives.
class ScopedSchedule {
 public:
  explicit ScopedSchedule(const Schedule& schedule);
  ~ScopedSchedule();
  ScopedSchedule(const ScopedSchedule&) = delete;
  ScopedSchedule& operator=(const ScopedSchedule&) = delete;

 private:
  Schedule previous_;
};

constexpr int kMaximumSharedBytes = 227 * 1024;  // of a block, as on sm_90

// Runs all threads of the grid to their end. Returns 0, or 1 (cudaErrorInvalidValue) for a launch that no GPU
// takes. What the kernel does wrong (misses a barrier, ends with copies in flight, deadlocks, ...) is an
// omni::Error that names the block and the thread.
int run_grid(dim3 grid, dim3 block, std::size_t shared_bytes, const std::function<void()>& thread);

// Where in the source a thread stands, for messages and to tell barriers apart.
struct Site {
  const char* file;
  int line;
};

// What follows is for the thread that runs, called from device code.
const uint3& thread_index();
const uint3& block_index();
const dim3& block_size();
const dim3& grid_size();

// The block's dynamic shared memory: as many bytes as the launch asked for, at a multiple of 16, filled with
// NaN, with red zones around.
void* dynamic_shared();

// Every thread of the block must come to the same barrier. Returns how many came with a true predicate.
int block_barrier(bool predicate, Site site);

// What lanes that meet bring and take: lane i's `input` is read and `output` written once all lanes of `mask`
// are there with the same operation and mask.
struct LaneRequest {
  const void* input;
  void* output;
};
struct Collective {
  const char* name;
  // Gets 32 requests; those outside of the mask are null.
  void (*combine)(const LaneRequest* lanes, unsigned mask);
};
void warp_collective(const Collective& collective, unsigned mask, LaneRequest request, Site site);
unsigned lane_index();

// cp.async: the target holds NaN until the latest wait of this thread that allows it.
void copy_async(void* shared, const void* global, std::size_t bytes, bool valid, Site site);
void copy_async_commit();
void copy_async_wait(int pending_groups);
void copy_async_wait_all();

// Called by atomics: a thread that only spins on memory never lets the others on.
void count_spin(Site site);

}  // namespace omni::shim
