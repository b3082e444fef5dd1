#pragma once

#include <algorithm>
#include <vector>

#include "batch_arena.h"
#include "omni/kernels/cross_entropy.h"
#include "row_plan.h"
#include "transformer_network.h"

namespace omni::model {

// For how many codes and features there is to be room, and from which position on the sequence weighs nothing: what is
// left of the room is put there.
struct TokenRoom {
  const BatchCapacity* capacity = nullptr;  // null: for those that there are
  std::int64_t first_spare = 0;
};

// The tokens of a packed sequence, to be embedded.
struct PreparedTokens {
  struct Codes {
    ArenaPlace positions, codes;  // see kernels::EmbeddedCodes
  };
  ArenaPlace tokens, slots, next_slots;
  std::vector<Codes> codes;  // of each of the network's code ranges
  bool fills_room = false;   // some of them may be none
  struct Features {
    ArenaPlace positions, values;
  };
  std::vector<Features> features;  // of each of the network's inputs of features

  PreparedTokens() = default;
  // Throws Error(internal) for tokens that the network does not have.
  PreparedTokens(const Transformer::Network& network, const sequence::PackedSequence& sequence,
                 BatchArena& arena, const TokenRoom& room = {});
  EmbeddedTokens on(const Tensor& bytes, const Transformer::Network& network) const;
};

PlannedRows plan_sequence(const TransformerConfig& config, const sequence::PackedSequence& sequence,
                          BatchArena& arena, bool fixed_shapes = false);

// Positions that share one set of competing tokens and one target modality: one product.
struct LossGroup {
  std::size_t modality = 0;
  std::int64_t rows = 0;  // with padding
  std::vector<kernels::ClassRun> runs;

  friend bool operator==(const LossGroup& a, const LossGroup& b) {
    const auto same = [](const kernels::ClassRun& one, const kernels::ClassRun& other) {
      return one.first == other.first && one.size == other.size && one.codebook == other.codebook &&
             one.first_code == other.first_code;
    };
    return a.modality == b.modality && a.rows == b.rows &&
           std::equal(a.runs.begin(), a.runs.end(), b.runs.begin(), b.runs.end(), same);
  }
};

struct PreparedBatch::Arrays {
  BatchArena arena;
  PreparedTokens tokens;
  PlannedRows rows;
  std::int64_t length = 0;  // of what was packed; with a capacity, of all positions
  bool fills_capacity = false;
  std::int64_t task_count = 0;
  std::vector<LossGroup> groups;
  // One entry per row of every group, group by group.
  ArenaPlace outputs;            // int64: the row of the network's output
  ArenaPlace positions;          // int64: its position in the packed sequence; `length` for padding
  ArenaPlace targets;            // int32: the column of its logits
  ArenaPlace weights;            // fp32; 0 for padding
  ArenaPlace modalities, tasks;  // int64; -1 for padding and where no task is told

  bool has_shape_of(const Arrays& other) const;  // see PreparedBatch
};

}  // namespace omni::model
