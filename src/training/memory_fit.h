#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "memory_parts.h"
#include "omni/model/bundle.h"
#include "omni/sequence/document.h"
#include "omni/training/stage_config.h"

namespace omni::training {

// Whether the memory that is there is enough for a stage, before anything of it is made; and what to change
// where it is not.

// The micro-batches of a step of documents at full length, the tasks in turn: as many documents as give each
// its size or just more.
std::vector<sequence::PackedSequence> longest_step(const StageConfig& config, const model::Bundle& bundle);

// What passes take at most where one takes `pass_bytes`: a graph keeps its own for good, beside which passes without
// it, of validation and of micro-batches that do not fit, take theirs.
double bytes_of_passes(const StageConfig& config, double pass_bytes);

// What each of the ranks of a stage would need with documents at full length. Of stages from a bundle, not of
// Cube3D's.
MemoryParts estimated_memory(const StageConfig& config, int ranks);

// Bytes that a rank needs, and the smallest micro-batch that the program takes.
struct NeededMemory {
  std::function<double(const StageConfig& config, int ranks)> kept;  // from step to step
  std::function<double(const StageConfig& config)> activations;      // beside these in a step
  std::int64_t fewest_tokens = 1;                                    // of a micro-batch
};
// Those of estimated_memory(), for a config and for others with other values of the keys that are changed.
NeededMemory estimated_needs(const StageConfig& config);

struct FittingChange {
  std::string what;  // "--set recompute=true", "2 ranks --set sharding=optimizer"
  double bytes = 0;  // that a rank needs with it
};
// Of the changes that leave what is learnt as it is, the one that costs least and with which a rank needs no
// more than `there` bytes: sharding what the optimizer keeps, sharding all, smaller micro-batches (half, a quarter, ...
// down to `fewest_tokens`), recomputing activations, and both, then these without cuda_graphs; where none is enough, twice
// the ranks and so on, up to `most_ranks`. Nothing where that is not enough.
std::optional<FittingChange> smallest_fitting_change(const StageConfig& config, int ranks, int most_ranks,
                                                     double there, const NeededMemory& needed);

// What is to be said of it, as the end of a sentence; more ranks count where `others_may_join` with memory of their
// own. Of stages from a bundle.
std::string fitting_advice(const StageConfig& config, int ranks, double there, bool others_may_join);

// Of the device of each of the ranks, `local_ranks` of them on this host, in bytes; 0 where nobody knows.
double memory_for_rank(const StageConfig& config, int local_ranks);

// Before a run begins: throws Error(out_of_memory) where what a rank keeps from step to step is more than its
// device has, and warns where a step's activations make it more, with the change that is enough. Cube3D's
// stages pass.
void require_memory(const StageConfig& config, int ranks, int local_ranks, bool tells);

}  // namespace omni::training
