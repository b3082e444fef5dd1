#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "omni/distributed/collectives.h"
#include "omni/nn/block_executor.h"
#include "omni/nn/parameters.h"

namespace omni::training {

// Brings to every rank the values that others own (Rajbhandari et al. 2020, arXiv 1910.02054, stage 1), not those of blocks that
// are fully sharded. A network that is called through executor() goes on before they are all there: a block waits for
// its own, so that those of the blocks behind it arrive beside its forward pass.
class ValueGathering {
 public:
  // Of a sealed store; both must outlive it.
  ValueGathering(nn::ParameterStore& parameters, distributed::Collectives& collectives);
  ValueGathering(const ValueGathering&) = delete;
  ValueGathering& operator=(const ValueGathering&) = delete;

  // Calls blocks as `inner` does, once their values are there: not for passes that are replayed, in which the host
  // waits for nothing. Must be gone before this.
  std::unique_ptr<nn::BlockExecutor> executor(std::unique_ptr<nn::BlockExecutor> inner);

  // After the masters have changed; every rank calls it. What is outside the blocks may be used when it returns, a
  // block's values once it is called through executor(), or after finish(); without executor() all of them at once.
  void begin();
  // All values may be used. What this rank waits for, other ranks need not.
  void finish();

  // That this rank has waited for values so far.
  double waited_seconds() const { return waited_seconds_; }

 private:
  class Executor;
  void start(std::size_t unit);
  void wait_for(std::size_t unit);

  nn::ParameterStore* parameters_;
  distributed::Collectives* collectives_;
  std::vector<std::vector<distributed::Pending>> asked_;  // by unit: calls that bring its values
  bool beside_passes_ = false;
  double waited_seconds_ = 0;
};

}  // namespace omni::training
