#pragma once

#include <array>
#include <memory>
#include <optional>
#include <vector>

#include "omni/kernels/cuda_decode_step.h"
#include "omni/kernels/decode_attention.h"
#include "omni/kernels/decode_step.h"
#include "omni/model/decode_precision.h"
#include "transformer_network.h"

namespace omni::model {

// New rows of several sequences, sequence by sequence, each in order.
struct NewRows {
  std::vector<std::int32_t> sequences;               // of each row
  std::vector<std::int32_t> offsets, rows, columns;  // positions
  std::vector<std::uint8_t> streams;                 // 0: text, 1: generated
  std::vector<std::size_t> last_seen;  // of each row: the last of these rows that it sees; empty: itself
  bool last_outputs_alone = false;     // of each sequence that of its last row is wanted and no other

  bool is_last(std::size_t row) const {
    return row + 1 == sequences.size() || sequences[row + 1] != sequences[row];
  }
};

// The blocks of a network with key-value caches. Below embedding and head, so that features can be rows too.
class CachedBlocks {
 public:
  CachedBlocks(const Transformer::Network& network, std::int64_t sequence_count, std::int64_t capacity,
               const DecodePrecision& precision = {});

  struct Outputs {
    Tensor hidden;                     // [outputs, width] in the activation type
    std::vector<std::int64_t> row_of;  // of each new row; -1 where it has no output or none is wanted
  };
  // embedded [N, width] fp32. A sequence with many new rows passes through the layers by itself, so that what it gets does
  // not depend on what is sampled beside it.
  Outputs append(const Tensor& embedded, const NewRows& rows);
  // From now on the blocks over the generated stream alone attend to its first row and to no other: what Cube3D's
  // reference does with its cache on, by a causal mask whose one row it aligns with the first key.
  void see_first_generated_row_alone() { first_row_alone_ = true; }
  std::int64_t length(std::int64_t sequence) const { return lengths_.at(sequence); }
  std::int64_t sequence_count() const { return static_cast<std::int64_t>(lengths_.size()); }

  // For steps that another writes to the caches on a GPU (see device_step.h). Where a row of each of
  // `sequences`, of the generated stream, stands in the caches of all rows and in those of that stream alone,
  // after `ahead` more such rows; nothing where the GPU's kernels cannot read the caches. Throws Error(internal) beyond the capacity.
  struct StepPlaces {
    std::vector<kernels::CudaDecodePlace> all, generated;
  };
  std::optional<StepPlaces> step_places(std::span<const std::int32_t> sequences, std::int64_t heads_per_key,
                                        std::int64_t ahead = 0) const;
  // After so many such rows of each were written.
  void count_steps(std::span<const std::int32_t> sequences, std::int64_t count);
  kernels::KeyValueCache& cache(std::size_t block) { return caches_.at(block); }
  bool holds_generated_rows(std::size_t block) const;  // and no others

  void copy_sequence(std::int64_t from, std::int64_t to);
  void clear_sequence(std::int64_t sequence);

 private:
  Outputs append_together(const Tensor& embedded, const NewRows& rows);
  kernels::DecodeStep* host_step(const NewRows& rows);
  Tensor attend_to_first_rows(std::size_t block, const std::vector<std::int32_t>& sequences) const;

  const Transformer::Network* network_;
  std::int64_t capacity_;
  kernels::DecodeFormat weights_;
  bool first_row_alone_ = false;
  std::vector<kernels::KeyValueCache> caches_;  // dual blocks, then single blocks
  std::vector<std::int64_t> lengths_, generated_lengths_;
  // Of each stream's rows, made when such rows come; null where they go through the layers.
  std::array<std::optional<std::unique_ptr<kernels::DecodeStep>>, 2> host_steps_;
};

}  // namespace omni::model
