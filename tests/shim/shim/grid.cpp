#include <algorithm>
#include <numeric>
#include <random>
#include <utility>

#include "omni/core/error.h"
#include "shim/block.h"
#include "shim/machine.h"

namespace omni::shim {
namespace {

thread_local Schedule current_schedule;
thread_local bool running = false;

// Room for AddressSanitizer's frames and for the report that it writes on the stack where it finds something.
constexpr std::size_t kStackBytes = std::size_t{256} << 10;

constexpr std::uint64_t kMaximumThreads = 1024;

bool possible(dim3 grid, dim3 block, std::size_t shared_bytes) {
  const std::uint64_t threads = std::uint64_t{block.x} * block.y * block.z;
  return grid.x >= 1 && grid.y >= 1 && grid.z >= 1 && grid.x <= 0x7fffffffu && grid.y <= 65535 &&
         grid.z <= 65535 && threads >= 1 && threads <= kMaximumThreads && block.z <= 64 &&
         shared_bytes <= kMaximumSharedBytes;
}

struct Running {
  Running() { running = true; }
  ~Running() { running = false; }
};

std::vector<std::uint64_t> block_order(std::uint64_t count, const Schedule& schedule) {
  std::vector<std::uint64_t> order(count);
  std::iota(order.begin(), order.end(), std::uint64_t{0});
  if (!schedule.shuffle_blocks) return order;
  if (schedule.order == Order::reversed) std::reverse(order.begin(), order.end());
  std::mt19937_64 random(schedule.seed);
  if (schedule.order == Order::random) std::shuffle(order.begin(), order.end(), random);
  return order;
}

}  // namespace

ScopedSchedule::ScopedSchedule(const Schedule& schedule)
    : previous_(std::exchange(current_schedule, schedule)) {}
ScopedSchedule::~ScopedSchedule() { current_schedule = previous_; }

int run_grid(dim3 grid, dim3 block, std::size_t shared_bytes, const std::function<void()>& thread) {
  if (!possible(grid, block, shared_bytes)) return 1;
  // A kernel cannot start another one here, so one set of stacks is enough.
  thread_local FibrePool pool(kStackBytes);
  ensure(!running, "a kernel starts a kernel: the shim cannot run that");
  const Running scope;
  Block state(grid, block, shared_bytes, pool);
  const Schedule schedule = current_schedule;
  for (const std::uint64_t i : block_order(std::uint64_t{grid.x} * grid.y * grid.z, schedule)) {
    const auto index = static_cast<unsigned>(i % grid.x);
    const std::uint64_t rest = i / grid.x;
    state.run({index, static_cast<unsigned>(rest % grid.y), static_cast<unsigned>(rest / grid.y)}, schedule,
              thread);
  }
  return 0;
}

}  // namespace omni::shim
