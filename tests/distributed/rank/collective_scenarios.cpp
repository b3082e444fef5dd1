#include <unistd.h>

#include <iostream>
#include <thread>
#include <utility>

#include "gloo_collectives.h"
#include "nccl_collectives.h"
#include "omni/core/error.h"
#include "omni/distributed/launch_environment.h"
#include "omni/kernels/tensor.h"
#include "rank_program.h"

namespace omni::distributed {
namespace {

struct Rank {
  LaunchEnvironment launch = read_launch_environment();
  // Of the tensors: with NCCL's double the host, or the GPU that it plays.
  at::Device device = test_device();
  std::unique_ptr<Store> store = Store::connect({launch.master_address, launch.master_port},
                                                launch.store_prefix, std::chrono::seconds(30));
  std::unique_ptr<Collectives> collectives = make();

 private:
  std::unique_ptr<Collectives> make() {
    Peers peers = {launch.rank, {}};
    for (int rank = 0; rank < launch.world_size; ++rank)
      peers.hosts.push_back(variable("HOSTS", "") == "different" ? concat("host", rank) : launch.host);
    const std::chrono::milliseconds patience(std::stoi(variable("PATIENCE_MS", "30000")));
    if (variable("OMNI_NCCL", "").empty()) return make_gloo_collectives(*store, peers, patience);
    return make_nccl_collectives(*store, peers, device, patience);
  }
};

// What rank `rank` brings to call `call`: any rank can form it.
at::Tensor input(int rank, std::int64_t call, std::int64_t count, at::ScalarType type) {
  const at::Tensor places = (at::arange(count, at::kLong) * 7919 + rank * 104729 + call * 1299709) % 1000003;
  // Of many magnitudes, so that another order of the sum would show.
  return ((places.to(at::kDouble) - 500001) * at::exp2((places % 24).to(at::kDouble))).to(type);
}

at::Tensor in_order(int size, std::int64_t call, std::int64_t count, at::ScalarType type,
                    Reduction reduction) {
  at::Tensor result = input(0, call, count, type);
  for (int rank = 1; rank < size; ++rank) {
    const at::Tensor next = input(rank, call, count, type);
    result = reduction == Reduction::sum ? result + next : at::maximum(result, next);
  }
  return result;
}

void expect_equal(const at::Tensor& found, const at::Tensor& expected, const std::string& what) {
  ensure(at::equal(found.cpu(), expected.cpu()), what, " gives other values");
}

// Every call at sizes around those where the way of the messages changes.
void every_call() {
  Rank self;
  Collectives& ranks = *self.collectives;
  const int rank = ranks.rank(), size = ranks.size();
  std::int64_t call = 0;
  constexpr std::int64_t kSmall = 40000;
  const std::int64_t large = size == 2 ? 700001 : 300001;  // several slices for each rank
  for (const auto& [type, counts] : std::vector<std::pair<at::ScalarType, std::vector<std::int64_t>>>{
           {at::kFloat, {0, 1, 5, 8191, kSmall, large}},
           {at::kDouble, {5, kSmall}},
           {at::kLong, {5, kSmall}}})
    for (const Reduction reduction : {Reduction::sum, Reduction::maximum})
      for (const std::int64_t count : counts) {
        if (reduction == Reduction::maximum && count > kSmall) continue;
        ++call;
        const std::string what = concat("call ", call, ": ", count, " of ", c10::toString(type));
        const at::Tensor values = input(rank, call, count, type).to(self.device);
        ranks.all_reduce(values, reduction).wait();
        expect_equal(values, in_order(size, call, count, type, reduction), what);
        // The same bits, cut into parts, to another tensor and in place.
        const at::Tensor expected = in_order(size, ++call, count * size, type, reduction);
        const at::Tensor whole = input(rank, call, count * size, type).to(self.device);
        const at::Tensor part = at::empty({count}, whole.options());
        ranks.reduce_scatter(whole, part, reduction).wait();
        const at::Tensor mine = whole.narrow(0, rank * count, count);
        expect_equal(part, expected.narrow(0, rank * count, count), what + " scattered");
        ranks.reduce_scatter(whole, mine, reduction).wait();
        expect_equal(mine, part, what + " scattered in place");
        ranks.all_gather(mine, whole).wait();
        expect_equal(whole, expected, what + " gathered");
      }
  for (const at::ScalarType type : {at::kBFloat16, at::kLong, at::kByte})
    for (int root = 0; root < size; ++root)
      for (const std::int64_t count : {std::int64_t{7}, large}) {
        const at::Tensor expected = at::arange(count).add(root).to(type);
        const at::Tensor values =
            (rank == root ? expected.clone() : at::zeros({count}, type)).to(self.device);
        ranks.broadcast(values, root).wait();
        expect_equal(values, expected, concat("broadcast from ", root));
        const at::Tensor whole = at::zeros({count * size}, values.options());
        ranks.all_gather(at::arange(count).add(rank).to(type).to(self.device), whole).wait();
        for (int other = 0; other < size; ++other)
          expect_equal(whole.narrow(0, other * count, count), at::arange(count).add(other).to(type),
                       "gathered");
      }
  ranks.barrier();
}

// Calls are waited for late, in another order, or not at all; ranks come at different times.
void many_at_once() {
  Rank self;
  Collectives& ranks = *self.collectives;
  constexpr int kCalls = 40, kCount = 30011;
  std::vector<at::Tensor> values;
  std::vector<Pending> pending;
  for (int call = 0; call < kCalls; ++call) {
    values.push_back(at::full({kCount}, call + ranks.rank(), at::kFloat).to(self.device));
    pending.push_back(ranks.all_reduce(values.back()));
    if (call % 7 == ranks.rank()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  ensure(ranks.calls_begun() == kCalls, "calls are counted");
  for (int call = kCalls - 1; call >= 0; call -= 2) {
    pending[call].wait();
    pending[call].wait();
    const float expected = static_cast<float>(call * ranks.size() + ranks.size() * (ranks.size() - 1) / 2);
    expect_equal(values[call], at::full({kCount}, expected), "a call among many");
  }
  ranks.barrier();
}

// One rank does something else than the others.
void other_operation() {
  Rank self;
  const at::Tensor values = at::ones({1000});
  if (self.launch.rank == 1)
    self.collectives->all_gather(values, at::empty({1000 * self.launch.world_size})).wait();
  else
    self.collectives->all_reduce(values).wait();
}
void other_count() {
  Rank self;
  self.collectives->all_reduce(at::ones({self.launch.rank == 1 ? 30000 : 40000})).wait();
}
void other_type() {
  Rank self;
  const at::ScalarType type = self.launch.rank == 1 ? at::kLong : at::kDouble;
  self.collectives->all_reduce(at::ones({40000}, type)).wait();
}
void other_order() {
  Rank self;
  const at::Tensor a = at::ones({40000}), b = at::ones({50000});
  Pending first = self.collectives->all_reduce(self.launch.rank == 1 ? a : b);
  Pending second = self.collectives->all_reduce(self.launch.rank == 1 ? b : a);
  first.wait();
  second.wait();
}

void one_hangs() {
  Rank self;
  self.collectives->barrier();
  if (self.launch.rank == 1) std::this_thread::sleep_for(std::chrono::hours(1));
  self.collectives->all_reduce(at::ones({40000})).wait();
}

void one_dies() {
  Rank self;
  self.collectives->barrier();
  if (self.launch.rank == 1) ::_exit(9);
  self.collectives->all_reduce(at::ones({3000000})).wait();
}

// Another thread ends the calls, as the watchdog does.
void aborted() {
  Rank self;
  self.collectives->barrier();
  if (self.launch.rank == 1) {
    std::this_thread::sleep_for(std::chrono::seconds(2));
    return;
  }
  std::thread other([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    self.collectives->abort(CollectiveError("the watchdog says why", 1, false));
  });
  const auto end_thread = [&] { other.join(); };
  try {
    self.collectives->all_reduce(at::ones({40000})).wait();
  } catch (const CollectiveError& error) {
    end_thread();
    std::cout << error.what() << '\n';
    self.collectives->barrier();  // fails at once, too
    return;
  }
  end_thread();
}

}  // namespace

std::map<std::string, Scenario> collective_scenarios() {
  return {{"every_call", every_call},   {"many_at_once", many_at_once}, {"other_operation", other_operation},
          {"other_count", other_count}, {"other_type", other_type},     {"other_order", other_order},
          {"one_hangs", one_hangs},     {"one_dies", one_dies},         {"aborted", aborted}};
}

}  // namespace omni::distributed
