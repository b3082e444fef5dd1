#pragma once

#include <cstdint>
#include <vector>

#include "omni/kernels/cross_entropy.h"
#include "transformer_network.h"

namespace omni::model {

// The positions of a packed sequence that share one set of competing tokens and one target modality.
struct GroupRows {
  std::size_t modality = 0;
  sequence::AllowedTokens allowed;
  std::vector<kernels::ClassRun> runs;  // the output rows of these tokens, cut where codebooks begin and end
  std::vector<std::int64_t> columns;    // of each run
  std::vector<std::int64_t> positions;
  std::vector<std::int32_t> targets;  // columns

  GroupRows(const Transformer::Network& network, std::size_t modality,
            const sequence::AllowedTokens& allowed);
  std::int32_t column_of(std::int32_t token) const;  // -1: none
};

// Those that carry loss. Throws Error(usage) for a loss where the network has no output, Error(internal) for a target
// that its grammar does not allow.
std::vector<GroupRows> loss_groups(const Transformer::Network& network,
                                   const sequence::PackedSequence& sequence);

// Every token of the vocabulary at every position.
void allow_everything(sequence::PackedSequence& sequence, std::int32_t vocabulary_size);

}  // namespace omni::model
