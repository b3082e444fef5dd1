#pragma once

#include "omni/model/transformer.h"
#include "omni/sequence/packed_sequence.h"

namespace omni::model {

// Floating-point operations of the matmuls of a forward and a backward pass over one packed sequence;
// a multiply-add counts as two. Of the model alone: neither padding nor what is computed a second time
// counts, so that these by time are the utilisation that others report (Chowdhery et al. 2022, arXiv
// 2204.02311).
struct TrainingFlops {
  double blocks = 0;      // linear layers of the blocks, each row through the weights of its own stream
  double attention = 0;   // scores and sums over the keys that each row sees
  double vocabulary = 0;  // logits of the allowed tokens where loss counts, rows made of codebooks
  double forward = 0;     // of all these together, the forward pass's
  double total() const { return blocks + attention + vocabulary; }
};
TrainingFlops training_flops(const Transformer& transformer, const sequence::PackedSequence& sequence,
                             const PrepareOptions& options = {});

// About the most memory, in bytes, that such a pass holds at once beside weights and their gradients, with
// the transformer's activation type; `recomputation` as in Transformer::set_recompute.
double activation_bytes(const Transformer& transformer, const sequence::PackedSequence& sequence,
                        const nn::Recomputation& recomputation, const PrepareOptions& options = {});

}  // namespace omni::model
