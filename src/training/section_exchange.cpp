#include "section_exchange.h"

#include <algorithm>
#include <chrono>

#include "omni/kernels/profiled_range.h"

namespace omni::training {
namespace {

using distributed::Collectives;
using distributed::Pending;

// Where no parameter may be cut, ranks own different amounts, and collective calls want equal ones.
bool has_equal_shards(const nn::ParameterSection& section) {
  return std::all_of(section.shards.begin(), section.shards.end(), [&](const nn::ElementRange& shard) {
    return shard.count == section.shards.front().count;
  });
}

// `whole` [size] holds this rank's range.
std::vector<Pending> gather(const nn::ParameterSection& section, const at::Tensor& whole,
                            Collectives& collectives) {
  std::vector<Pending> calls;
  if (has_equal_shards(section)) {
    calls.push_back(collectives.all_gather(section.owned_part(whole), whole));
    return calls;
  }
  for (std::size_t owner = 0; owner < section.shards.size(); ++owner) {
    const nn::ElementRange& shard = section.shards[owner];
    if (shard.count > 0)
      calls.push_back(
          collectives.broadcast(whole.narrow(0, shard.first, shard.count), static_cast<int>(owner)));
  }
  return calls;
}

}  // namespace

std::vector<Pending> reduce_gradients(const nn::ParameterUnit& unit, Collectives& collectives) {
  std::vector<Pending> calls;
  if (!unit.is_sharded()) {
    calls.push_back(collectives.all_reduce(unit.gradients));
    return calls;
  }
  for (const nn::ParameterSection& section : unit.sections) {
    if (has_equal_shards(section))
      calls.push_back(collectives.reduce_scatter(section.gradients, section.owned_part(section.gradients)));
    else
      calls.push_back(collectives.all_reduce(section.gradients));
  }
  return calls;
}

std::vector<Pending> gather_values(const nn::ParameterSection& section, Collectives& collectives) {
  return gather(section, section.values, collectives);
}

double wait_for(std::vector<Pending>& calls) {
  const kernels::ProfiledRange profiled("wait for communication", kernels::ProfiledRange::Kind::phase);
  const auto begun = std::chrono::steady_clock::now();
  for (Pending& call : calls) call.wait();
  calls.clear();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
}

at::Tensor gather_owned(const nn::ParameterSection& section, const at::Tensor& owned,
                        Collectives& collectives) {
  at::Tensor whole = at::zeros({section.size()}, owned.options());
  section.owned_part(whole).copy_(owned);
  for (Pending& call : gather(section, whole, collectives)) call.wait();
  return whole;
}

}  // namespace omni::training
