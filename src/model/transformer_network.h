#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "feature_projection.h"
#include "omni/kernels/cross_entropy.h"
#include "omni/kernels/embedding.h"
#include "omni/kernels/fused_kernels.h"
#include "omni/model/transformer.h"
#include "omni/nn/block_executor.h"
#include "omni/nn/decoder_block.h"
#include "omni/sequence/segment_parts.h"
#include "row_plan.h"

namespace omni::model {

// Index tensors on the network's device.
struct EmbeddedTokens {
  Tensor tokens, slots, next_slots;           // [N] int64; slots may be undefined
  std::vector<kernels::EmbeddedCodes> codes;  // of tokens whose rows start from codebooks
  struct Features {
    Tensor positions, values;  // [k] int64, [k, width] fp32
  };
  std::vector<Features> features;  // of each of the network's inputs
};

// How rows pass through the blocks.
struct RowPass {
  // The attention of block number `block`, dual blocks first: projected rows [N, qkv_width] in document order
  // -> [N, query_width]. Empty: over these rows, as the plan has it.
  std::function<Tensor(std::size_t block, const Tensor& qkv, const kernels::RotaryAttention&)> attend;
  nn::Decoding decoding;
  std::optional<std::uint64_t> dropout_seed;  // nothing: no dropout
  Tensor dropout_keys;                        // see PassInputs; in place of the keys that the seed gives
  // [k] int64: of the outputs those that are wanted, heeded where the last block is a single one; undefined: all.
  Tensor wanted;
};
// Of what a block drops; see nn::Dropout.
std::uint64_t block_dropout_key(std::uint64_t seed, std::size_t block);

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
  std::vector<FeatureProjection> feature_projections;  // of config.features
  std::vector<nn::DecoderBlock> dual_blocks, single_blocks;
  nn::LowRankConfig adapters;
  at::ScalarType type = at::kFloat;
  kernels::AttentionPath attention_path = kernels::AttentionPath::automatic;
  kernels::FusedKernels fused;
  nn::Recomputation recomputation;
  std::unique_ptr<nn::BlockExecutor> executor = nn::make_plain_executor();

  Network(const TransformerConfig& config, const sequence::Vocabulary& vocabulary,
          const sequence::SequenceLayout& layout, nn::ParameterStart start,
          const std::vector<RangeCodebook>& codebooks);

  // Each slot of each modality has a row, modality by modality.
  std::int64_t slot_count() const;
  std::int32_t slot_row(sequence::Modality modality, std::int32_t slot) const;
  std::int32_t no_slot() const { return static_cast<std::int32_t>(slot_count()); }

  // Embedding and output rows of the whole vocabulary with the codebooks' share, [vocabulary, width] fp32.
  Tensor token_rows() const;
  Tensor head_rows(const Tensor& token_rows) const;
  // -> [N, width] fp32, from `table` [vocabulary, width]: the embedding, or token_rows() without codes.
  Tensor embed(const Tensor& table, const EmbeddedTokens& tokens) const;
  kernels::ClassTable output_classes() const;

  // The linear layers of the blocks.
  struct NamedLinear {
    std::string name;
    nn::CastLinear* layer;
  };
  std::vector<NamedLinear> linear_layers();

  RowPlan plan(const RowPlaces& places) const;
  // From embedded rows [N, width] fp32 in document order to normed outputs [outputs, width] in `type`.
  Tensor run(const Tensor& embedded, const RowPlan& plan, const RowPass& pass = {}) const;

 private:
  std::vector<nn::StreamRows> run_block(std::size_t number, const std::vector<nn::StreamRows>& rows,
                                        const std::shared_ptr<const RowPlan>& plan,
                                        const RowPass& pass) const;
};

Tensor index_tensor(const std::vector<std::int64_t>& values);

}  // namespace omni::model
