#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "omni/model/transformer.h"
#include "omni/nn/block_executor.h"
#include "omni/nn/decoder_block.h"
#include "omni/sequence/segment_parts.h"

namespace omni::model {

using at::Tensor;

// Where rows stand, in document order. Spans have one entry per row, document_starts one per document and the
// total; bidirectional the ranges of rows that see all of themselves.
struct RowPlaces {
  std::span<const std::int32_t> offsets, rows, columns;
  std::span<const std::uint8_t> streams;  // 0: text, 1: generated; ignored with one stream
  std::span<const std::int64_t> document_starts;
  std::span<const kernels::RowRange> bidirectional = {};
};

// What the blocks need to know about a set of rows.
struct RowPlan {
  nn::StreamOrder order;
  nn::AttentionPlan dual, single;
  Tensor output_rows;  // [outputs] int64: the rows that the blocks give output for; undefined: all
};

// How rows pass through the blocks.
struct RowPass {
  // The attention of block number `block`, dual blocks first: projected rows [N, qkv_width] in document order
  // -> [N, query_width]. Empty: over these rows, as the plan has it.
  std::function<Tensor(std::size_t block, const Tensor& qkv, const kernels::RotaryAttention&)> attend;
  nn::Decoding decoding;
  std::optional<std::uint64_t> dropout_seed;  // nothing: no dropout
};

// The layers of a Transformer.
struct Transformer::Network {
  struct CodeRange {
    sequence::TokenRange range;
    Tensor codebook;    // [range size, dimension], not trained
    Tensor projection;  // [width, dimension]
  };

  TransformerConfig config;
  sequence::Vocabulary vocabulary;
  sequence::SequenceLayout layout;
  sequence::SegmentParts parts;
  nn::ParameterStore parameters;
  Tensor embedding;            // [vocabulary, width]
  Tensor head;                 // the same; undefined where tied
  nn::CastWeight output_rows;  // head, or embedding where tied: what logits are made with but for codebooks
  Tensor slots, next_slots;    // [slot_count() + 1, width], the last row for no slot; undefined without
  Tensor final_norm;           // [width] or undefined
  std::vector<CodeRange> code_ranges;
  std::vector<nn::DecoderBlock> dual_blocks, single_blocks;
  at::ScalarType type = at::kFloat;
  kernels::AttentionPath attention_path = kernels::AttentionPath::automatic;
  std::unique_ptr<nn::BlockExecutor> executor = nn::make_plain_executor();

  Network(const TransformerConfig& config, const sequence::Vocabulary& vocabulary,
          const sequence::SequenceLayout& layout, nn::ParameterStart start,
          const std::vector<RangeCodebook>& codebooks);

  // Each slot of each modality has a row, modality by modality.
  std::int64_t slot_count() const;
  std::int32_t slot_row(sequence::Modality modality, std::int32_t slot) const;
  std::int32_t no_slot() const { return static_cast<std::int32_t>(slot_count()); }
  bool drops_text() const { return config.streams == 2 && config.single_over == "generated"; }

  // Embedding and output rows of the whole vocabulary with the codebooks' share, [vocabulary, width] fp32.
  Tensor token_rows() const;
  Tensor head_rows(const Tensor& token_rows) const;
  // tokens, slots, next_slots [N] int64 -> [N, width] fp32. slots may be undefined.
  Tensor embed(const Tensor& token_rows, const Tensor& tokens, const Tensor& slots,
               const Tensor& next_slots) const;

  RowPlan plan(const RowPlaces& places) const;
  // From embedded rows [N, width] fp32 in document order to normed outputs [outputs, width] in `type`.
  Tensor run(const Tensor& embedded, const RowPlan& plan, const RowPass& pass = {}) const;

 private:
  std::vector<nn::StreamRows> run_block(std::size_t number, const std::vector<nn::StreamRows>& rows,
                                        const std::shared_ptr<const RowPlan>& plan,
                                        const RowPass& pass) const;
};

// The tokens of a packed sequence as index tensors.
struct PackedRows {
  Tensor tokens, slots, next_slots;
  std::vector<std::uint8_t> streams;
};
PackedRows packed_rows(const Transformer::Network& network, const sequence::PackedSequence& sequence);
RowPlan packed_plan(const Transformer::Network& network, const sequence::PackedSequence& sequence,
                    const PackedRows& rows);

Tensor index_tensor(const std::vector<std::int64_t>& values);

}  // namespace omni::model
