#include "shim/block.h"

#include <algorithm>
#include <bit>
#include <numeric>

#include "omni/core/error.h"

namespace omni::shim {
namespace {

constexpr std::uint64_t kMaximumSpins = 10'000'000;

[[gnu::tls_model("initial-exec")]] thread_local Block* current_block = nullptr;

std::string place(const uint3& i) { return concat("(", i.x, ", ", i.y, ", ", i.z, ")"); }
std::string place(Site site) { return concat(site.file, ":", site.line); }

}  // namespace

Block& Block::current() {
  ensure(current_block && current_block->running_, "device code runs outside of a launch");
  return *current_block;
}

Block::Block(dim3 grid, dim3 size, std::size_t shared_bytes, FibrePool& pool)
    : grid_(grid), size_(size), shared_(shared_bytes) {
  const unsigned count = size.x * size.y * size.z;
  const std::vector<Fibre*> fibres = pool.first(count);
  threads_.resize(count);
  for (unsigned i = 0; i < count; ++i) {
    threads_[i].fibre = fibres[i];
    threads_[i].number = i;
    threads_[i].index = {i % size.x, i / size.x % size.y, i / size.x / size.y};
  }
}

void Block::prepare(const Schedule& schedule) {
  random_.seed(schedule.seed * 1000003 + (index_.z * grid_.y + index_.y) * std::uint64_t{grid_.x} + index_.x);
  shared_.fill(schedule.order == Order::reversed || (schedule.order == Order::random && random_() % 2 == 0));
  for (Thread& thread : threads_) {
    thread.state = ThreadState::ready;
    thread.spins = 0;
    thread.copies.clear();
    thread.products.clear();
    thread.fibre->start(&Block::thread_main, this);
  }
  in_collective_.assign((threads_.size() + kWarpSize - 1) / kWarpSize, 0);
  bulk_copies_.clear();
  group_waits_.clear();
  error_ = nullptr;
}

void Block::run(uint3 index, const Schedule& schedule, const std::function<void()>& thread) {
  index_ = index;
  body_ = &thread;
  current_block = this;
  struct Clear {
    ~Clear() { current_block = nullptr; }
  } clear;
  prepare(schedule);
  while (!all_ended()) {
    const bool progress = run_warps(schedule);
    if (error_) std::rethrow_exception(error_);
    if (shared_.damaged())
      fail(ErrorKind::internal, "block ", place(index_), " wrote outside of its shared memory");
    if (std::all_of(threads_.begin(), threads_.end(),
                    [](const Thread& t) { return t.state == ThreadState::at_barrier; }))
      release_barrier();
    else if (!progress)
      report_stuck();
  }
  if (bulk_copies_.in_flight() > 0)
    fail(ErrorKind::internal, "block ", place(index_), " ends with ", bulk_copies_.in_flight(),
         " bulk copies in flight");
  group_waits_.check_ends();
}

void Block::thread_main(void* argument) {
  auto& block = *static_cast<Block*>(argument);
  try {
    (*block.body_)();
    Thread& thread = block.thread();
    if (thread.copies.in_flight() > 0)
      block.fail_here(concat("ends with ", thread.copies.in_flight(), " asynchronous copies in flight"),
                      thread.site);
    if (thread.products.in_flight() > 0)
      block.fail_here(
          concat("ends with ", thread.products.in_flight(), " products of a warp group in flight"),
          thread.site);
  } catch (...) {
    block.error_ = std::current_exception();
  }
  block.thread().state = ThreadState::ended;
}

void Block::run_thread(Thread& thread) {
  running_ = &thread;
  thread.fibre->resume();
  running_ = nullptr;
}

void Block::put_in_order(std::span<unsigned> places, const Schedule& schedule) {
  std::iota(places.begin(), places.end(), 0u);
  if (schedule.order == Order::reversed) std::reverse(places.begin(), places.end());
  if (schedule.order == Order::random) std::shuffle(places.begin(), places.end(), random_);
}

// The next lane of the pass that can run, or null.
Thread* Block::next_of_pass() {
  while (pass_.taken < kWarpSize) {
    Thread* thread = lane(pass_.warp, pass_.lanes[pass_.taken++]);
    if (!thread) continue;
    if (thread->state == ThreadState::waiting && thread->barrier->ended(thread->parity, bulk_copies_))
      thread->state = ThreadState::ready;
    if (thread->state == ThreadState::ready) return thread;
  }
  return nullptr;
}

// The thread that runs stops until a later pass.
void Block::suspend_running() {
  Fibre& own = *running_->fibre;
  if (Thread* next = next_of_pass()) {
    running_ = next;
    own.pass_to(*next->fibre);
  } else {
    own.suspend();
  }
}

// Lets each lane of the warp that can run do so once; true if any did.
bool Block::run_warp(unsigned warp, const Schedule& schedule) {
  put_in_order(pass_.lanes, schedule);
  pass_.warp = warp;
  pass_.taken = 0;
  bool progress = false;
  while (Thread* thread = next_of_pass()) {
    run_thread(*thread);
    progress = true;
    if (error_) return true;
  }
  return progress;
}

bool Block::run_warps(const Schedule& schedule) {
  const auto warps = static_cast<unsigned>((threads_.size() + kWarpSize - 1) / kWarpSize);
  bool progress = false;
  std::vector<unsigned> order(warps);
  put_in_order(order, schedule);
  for (const unsigned warp : order) {
    // A random schedule also changes over between warps in the middle of what they do.
    std::uint64_t turns = schedule.order == Order::random && random_() % 2 == 0 ? 1 + random_() % 8 : ~0ull;
    while (turns-- > 0 && !error_ && run_warp(warp, schedule)) progress = true;
    if (error_) break;
  }
  return progress;
}

bool Block::all_ended() const {
  return std::all_of(threads_.begin(), threads_.end(),
                     [](const Thread& t) { return t.state == ThreadState::ended; });
}

void Block::release_barrier() {
  true_predicates_ = 0;
  const Thread& first = threads_.front();
  for (const Thread& thread : threads_) {
    const bool same_file =
        thread.site.file == first.site.file || std::string_view(thread.site.file) == first.site.file;
    if (thread.site.line != first.site.line || !same_file)
      fail(ErrorKind::internal, "divergent barrier in block ", place(index_), ": ", describe(first), ", but ",
           describe(thread));
    true_predicates_ += thread.predicate ? 1 : 0;
  }
  for (Thread& thread : threads_) thread.state = ThreadState::ready;
}

int Block::barrier(bool predicate, Site site) {
  Thread& thread = *running_;
  thread.state = ThreadState::at_barrier;
  thread.predicate = predicate;
  thread.site = site;
  suspend_running();
  return true_predicates_;
}

void Block::wait_for(SharedBarrier& barrier, unsigned parity, Site site) {
  if (barrier.ended(parity, bulk_copies_)) return;
  Thread& thread = *running_;
  thread.state = ThreadState::waiting;
  thread.barrier = &barrier;
  thread.parity = parity;
  thread.site = site;
  suspend_running();
}

void Block::collective(const Collective& collective, unsigned mask, LaneRequest request, Site site) {
  Thread& thread = *running_;
  const unsigned warp = thread.number / kWarpSize;
  if (!(mask >> thread.number % kWarpSize & 1u))
    fail_here(concat("calls ", collective.name, " with a mask that lacks its own lane"), site);
  thread.state = ThreadState::in_collective;
  thread.collective = &collective;
  thread.mask = mask;
  thread.request = request;
  thread.site = site;
  // Nearly always the last lane of the mask alone has anything to look at.
  unsigned& there = in_collective_[warp];
  there |= 1u << thread.number % kWarpSize;
  if ((mask & ~there) == 0) meet(thread);
  suspend_running();
}

// All lanes of its mask wait in a collective: where it is the same one, they make it and go on.
void Block::meet(const Thread& last) {
  const unsigned warp = last.number / kWarpSize;
  LaneRequest requests[kWarpSize] = {};
  for (unsigned i = 0; i < kWarpSize; ++i) {
    if (!(last.mask >> i & 1u)) continue;
    const Thread& other = *lane(warp, i);
    if (other.mask != last.mask || other.collective->combine != last.collective->combine) return;
    requests[i] = other.request;
  }
  last.collective->combine(requests, last.mask);
  for (unsigned i = 0; i < kWarpSize; ++i)
    if (last.mask >> i & 1u) lane(warp, i)->state = ThreadState::ready;
  in_collective_[warp] &= ~last.mask;
}

std::string Block::describe(const Thread& thread) const {
  const std::string name = concat("thread ", place(thread.index));
  switch (thread.state) {
    case ThreadState::at_barrier:
      return concat(name, " waits at the barrier of ", place(thread.site));
    case ThreadState::in_collective: {
      std::ostringstream mask;
      mask << std::hex << thread.mask;
      return concat(name, " waits in ", thread.collective->name, " with mask 0x", mask.str(), " at ",
                    place(thread.site));
    }
    case ThreadState::waiting:
      return concat(name, " waits for a barrier in shared memory at ", place(thread.site));
    case ThreadState::ended:
      return concat(name, " has ended");
    case ThreadState::ready:
      return concat(name, " can run");
  }
  return name;
}

// Nobody can go on: tells of the first thread of each kind.
void Block::report_stuck() const {
  std::string states;
  for (const ThreadState state :
       {ThreadState::in_collective, ThreadState::waiting, ThreadState::at_barrier, ThreadState::ended}) {
    const auto found =
        std::find_if(threads_.begin(), threads_.end(), [&](const Thread& t) { return t.state == state; });
    if (found != threads_.end()) states += (states.empty() ? "" : "; ") + describe(*found);
  }
  const bool divergent = std::none_of(threads_.begin(), threads_.end(), [](const Thread& t) {
    return t.state == ThreadState::in_collective || t.state == ThreadState::waiting;
  });
  fail(ErrorKind::internal, divergent ? "divergent barrier" : "deadlock", " in block ", place(index_), ": ",
       states);
}

void Block::fail_here(const std::string& what, Site site) const {
  fail(ErrorKind::internal, "block ", place(index_), " thread ", place(running_->index), " ", what, " at ",
       place(site));
}

// The functions that device code calls.
const uint3& thread_index() { return Block::current().thread().index; }
const uint3& block_index() { return Block::current().index(); }
const dim3& block_size() { return Block::current().size(); }
const dim3& grid_size() { return Block::current().grid(); }
void* dynamic_shared() { return Block::current().shared(); }
unsigned lane_index() { return Block::current().thread().number % kWarpSize; }

int block_barrier(bool predicate, Site site) { return Block::current().barrier(predicate, site); }

void warp_collective(const Collective& collective, unsigned mask, LaneRequest request, Site site) {
  Block::current().collective(collective, mask, request, site);
}

void copy_async(void* shared, const void* global, std::size_t bytes, bool valid, Site site) {
  Thread& thread = Block::current().thread();
  thread.site = site;
  check_aligned(shared, bytes, "target of an asynchronous copy");
  if (valid) check_aligned(global, bytes, "source of an asynchronous copy");
  thread.copies.add(shared, global, bytes, valid);
}
void copy_async_commit() { Block::current().thread().copies.commit(); }
void copy_async_wait(int pending_groups) {
  Block::current().thread().copies.wait(static_cast<std::size_t>(pending_groups));
}
void copy_async_wait_all() { Block::current().thread().copies.wait_all(); }

void count_spin(Site site) {
  Block& block = Block::current();
  if (++block.thread().spins > kMaximumSpins)
    block.fail_here("seems to spin on memory: threads here do not run at the same time", site);
}

}  // namespace omni::shim
