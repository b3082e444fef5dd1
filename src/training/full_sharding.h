#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "omni/distributed/collectives.h"
#include "omni/nn/block_executor.h"
#include "omni/nn/parameters.h"

namespace omni::training {

// Full sharding (Rajbhandari et al. 2020, arXiv 1910.02054, stage 3; as in FSDP, Zhao et al. 2023, arXiv
// 2304.11277): the values of a block are gathered when it is to be computed, while the block before it is, and
// freed afterwards; in the backward pass, too, where the block is computed again. Its gradients are summed over
// the ranks micro-batch by micro-batch, beside the block that comes next, and each rank adds up what it owns.
//
// All ranks make the same calls in the same order, whatever blocks their micro-batches pass through and however
// many they have: a rank makes those of the blocks and passes that it leaves out without computing anything.
class FullSharding final : private nn::BlockVisitor {
 public:
  enum class Passes { forward, forward_and_backward };

  // Of a store that was sealed fully, which has to outlive it, as the collectives have to.
  FullSharding(nn::ParameterStore& parameters, distributed::Collectives& collectives);
  FullSharding(const FullSharding&) = delete;
  FullSharding& operator=(const FullSharding&) = delete;
  // Anything is free where the store is sealed otherwise.
  bool is_at_work() const { return !units_.empty(); }

  // What the network's blocks are to be called through. Must be gone before this.
  std::unique_ptr<nn::BlockExecutor> executor() { return nn::make_recompute_executor(true, this); }

  // The network will take so many passes at most on this rank, and on each of the others: one for each
  // micro-batch. Between begin() and finish() nobody makes other calls.
  void begin(std::int64_t count, Passes passes);
  // Takes those that are left, with gradients of zero. All gradients may be used then.
  void finish();

  // Gathers all blocks, for passes that this rank takes alone, and keeps them, unless only other ranks want them.
  // Every rank calls it.
  void gather_all(bool keep);
  void release_all();

  // The most that values and gradients of gathered blocks took at once since begin().
  std::int64_t peak_bytes() const { return peak_bytes_; }
  // That this rank has waited for the others' calls so far.
  double waited_seconds() const { return waited_seconds_; }

 private:
  struct Visit {
    std::size_t unit;
    Pass pass;
    bool operator==(const Visit&) const = default;
  };
  struct Reduction {
    std::size_t unit;
    std::vector<distributed::Pending> calls;
  };
  void enter(std::size_t unit, Pass pass) override;
  void leave(std::size_t unit, Pass pass) override;
  bool is_mine(std::size_t unit) const;
  Visit visit(std::int64_t number) const;
  void begin_visit();
  void end_visit();
  void skip_visit();
  void ask_for(std::size_t unit);   // starts to gather its values, unless they are there or on their way
  bool wait_for(std::size_t unit);  // whether it was on its way
  void release(std::size_t unit);
  void finish_reductions(std::size_t left);
  void count(std::int64_t bytes);

  nn::ParameterStore* parameters_;
  distributed::Collectives* collectives_;
  std::vector<std::size_t> units_;   // that are fully sharded, in the order of the forward pass
  std::int64_t next_ = 0, end_ = 0;  // numbers of visits
  Passes passes_ = Passes::forward;
  std::vector<bool> held_;                                // by unit: its values are there, or on their way
  std::vector<std::vector<distributed::Pending>> asked_;  // by unit: calls that bring them
  std::deque<Reduction> reductions_;                      // on their way, the first one first
  bool all_held_ = false;
  std::int64_t bytes_ = 0, peak_bytes_ = 0;
  double waited_seconds_ = 0;
};

}  // namespace omni::training
