#pragma once

#include <vector>

#include "batch_arena.h"
#include "omni/kernels/cross_entropy.h"
#include "row_plan.h"
#include "transformer_network.h"

namespace omni::model {

// The tokens of a packed sequence, to be embedded.
struct PreparedTokens {
  struct Codes {
    ArenaPlace positions, codes;  // see kernels::EmbeddedCodes
  };
  ArenaPlace tokens, slots, next_slots;
  std::vector<Codes> codes;  // of each of the network's code ranges
  struct Features {
    ArenaPlace positions, values;
  };
  std::vector<Features> features;  // of each of the network's inputs of features

  PreparedTokens() = default;
  // Throws Error(internal) for tokens that the network does not have.
  PreparedTokens(const Transformer::Network& network, const sequence::PackedSequence& sequence,
                 BatchArena& arena);
  EmbeddedTokens on(const Tensor& bytes, const Transformer::Network& network) const;
};

PlannedRows plan_sequence(const TransformerConfig& config, const sequence::PackedSequence& sequence,
                          BatchArena& arena);

// Positions that share one set of competing tokens and one target modality: one product.
struct LossGroup {
  std::size_t modality = 0;
  std::int64_t rows = 0;  // with padding
  std::vector<kernels::ClassRun> runs;
};

struct PreparedBatch::Arrays {
  BatchArena arena;
  PreparedTokens tokens;
  PlannedRows rows;
  std::int64_t length = 0;  // of what was packed
  std::int64_t task_count = 0;
  std::vector<LossGroup> groups;
  // One entry per row of every group, group by group.
  ArenaPlace outputs;            // int64: the row of the network's output
  ArenaPlace positions;          // int64: its position in the packed sequence; `length` for padding
  ArenaPlace targets;            // int32: the column of its logits
  ArenaPlace weights;            // fp32; 0 for padding
  ArenaPlace modalities, tasks;  // int64; -1 for padding and where no task is told
};

}  // namespace omni::model
