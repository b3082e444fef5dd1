#include "omni/model/training_cost.h"

#include <algorithm>

#include "prepared_arrays.h"

namespace omni::model {
namespace {

// A block and the rows that pass through it.
struct BlockLoad {
  const nn::DecoderBlock* block;
  std::vector<std::int64_t> rows;  // of each stream
  std::int64_t pairs;              // (row, key) that its attention computes
};

std::vector<BlockLoad> block_loads(const Transformer::Network& network,
                                   const sequence::PackedSequence& sequence) {
  BatchArena arena;
  const PlannedRows plan = plan_sequence(network.config, sequence, arena);
  std::vector<std::int64_t> rows;
  for (const ArenaPlace& stream : plan.stream) rows.push_back(stream.count);
  std::vector<BlockLoad> loads;
  for (const nn::DecoderBlock& block : network.dual_blocks)
    loads.push_back({&block, rows, plan.dual.spans.visible_pairs()});
  for (const nn::DecoderBlock& block : network.single_blocks)
    loads.push_back({&block, {plan.single.spans.rows()}, plan.single.spans.visible_pairs()});
  return loads;
}

// Of a product of a row and a weight: the backward pass makes two more, for the row and, where it is trained, for the weight.
constexpr double kForward = 2, kForwardAndBackward = 3 * kForward;

// Of products, by the passes.
struct PassFlops {
  double forward = 0, both = 0;
  PassFlops& operator+=(const PassFlops& other) {
    forward += other.forward;
    both += other.both;
    return *this;
  }
};

// Of so many products of two numbers.
PassFlops product_flops(double products, bool trained) {
  return {kForward * products, (trained ? kForwardAndBackward : 2 * kForward) * products};
}

PassFlops layer_flops(const nn::CastLinear& layer, std::int64_t rows) {
  if (!layer.defined()) return {};
  const Tensor weight = layer.weight.weight();
  PassFlops flops = product_flops(static_cast<double>(rows * weight.numel()), weight.requires_grad());
  flops += product_flops(static_cast<double>(rows * layer.adapter.elements()), true);
  return flops;
}

// Tokens that compete, summed over the positions where loss counts.
double competing_tokens(const Transformer::Network& network, const sequence::PackedSequence& sequence,
                        const PrepareOptions& options) {
  double count = 0;
  for (std::int64_t i = 0; i < sequence.length(); ++i) {
    if (sequence.loss_weights[i] <= 0) continue;
    count +=
        options.full_softmax ? network.vocabulary.size() : sequence.allowed_sets[sequence.allowed[i]].count();
  }
  return count;
}

// Of the share of codebooks in embedded rows and in logits.
PassFlops codebook_flops(const Transformer::Network& network, const sequence::PackedSequence& sequence,
                         const PrepareOptions& options) {
  PassFlops flops;
  for (const auto& code : network.code_ranges) {
    const auto dimension = static_cast<double>(code.codebook.size(1)),
               width = static_cast<double>(network.config.width);
    for (std::int64_t i = 0; i < sequence.length(); ++i) {
      // Codebooks are not trained: there is no product for their gradient.
      if (code.range.contains(sequence.tokens[i])) flops += product_flops(width * dimension, false);
      if (sequence.loss_weights[i] <= 0 || network.head.defined()) continue;
      std::int64_t classes = options.full_softmax ? code.range.size : 0;
      const sequence::AllowedTokens& allowed = sequence.allowed_sets[sequence.allowed[i]];
      for (int r = 0; r < allowed.run_count && !options.full_softmax; ++r)
        classes += std::max(
            0, std::min(allowed.runs[r].first + allowed.runs[r].size, code.range.first + code.range.size) -
                   std::max(allowed.runs[r].first, code.range.first));
      if (classes == 0) continue;
      flops += product_flops(dimension * width, true);
      flops += product_flops(dimension * static_cast<double>(classes), false);
    }
  }
  return flops;
}

double loss_positions(const sequence::PackedSequence& sequence) {
  return static_cast<double>(std::count_if(sequence.loss_weights.begin(), sequence.loss_weights.end(),
                                           [](float weight) { return weight > 0; }));
}

// Bytes per row of one stream.
struct RowBytes {
  double input;     // residual and the output that waits to be added
  double kept;      // for the backward pass
  double arriving;  // gradients from the next block
  double inside;    // gradients in the MLP, the widest place; one stream after the other
};

RowBytes row_bytes(const TransformerConfig& config, double element, bool joined,
                   const nn::StreamLayers& layers, const nn::Recomputation& recomputation) {
  const double wide = 4 * static_cast<double>(config.width),
               narrow = element * static_cast<double>(config.width),
               queries = element * static_cast<double>(config.query_width()),
               projected = element * static_cast<double>(config.qkv_width()),
               hidden = element * static_cast<double>(config.mlp_width());
  // Attention keeps its input, its output and a sum per head.
  const double attention = projected + queries + 4 * static_cast<double>(config.heads);
  // A layer with an adapter keeps the rows that it takes.
  const auto rows_before = [](const nn::CastLinear& layer, bool made_again, double bytes) {
    return made_again && !layer.adapter.defined() ? 0 : bytes;
  };
  RowBytes bytes{wide + narrow, wide + rows_before(layers.qkv, recomputation.norms, narrow) + attention,
                 wide + 2 * narrow, 0};
  if (layers.keys_only) return bytes;
  // Streams that attend together take their own rows of the attention's output.
  bytes.kept += (joined ? queries : 0) + wide + rows_before(layers.gate_up, recomputation.norms, narrow) +
                2 * hidden + rows_before(layers.down, recomputation.swiglu, hidden);
  bytes.inside = 2 * hidden;
  return bytes;
}

}  // namespace

TrainingFlops training_flops(const Transformer& transformer, const sequence::PackedSequence& sequence,
                             const PrepareOptions& options) {
  const Transformer::Network& network = transformer.network();
  PassFlops blocks, attention;
  for (const BlockLoad& load : block_loads(network, sequence)) {
    for (std::size_t s = 0; s < load.rows.size(); ++s) {
      const nn::StreamLayers& layers = load.block->streams[s];
      for (const nn::CastLinear* layer : {&layers.qkv, &layers.attention_out, &layers.gate_up, &layers.down})
        blocks += layer_flops(*layer, load.rows[s]);
    }
    // Queries with keys, probabilities with values: the backward pass is of both factors.
    attention += product_flops(2 * static_cast<double>(load.pairs * network.config.query_width()), true);
  }
  const auto width = static_cast<double>(network.config.width);
  PassFlops vocabulary = product_flops(width * competing_tokens(network, sequence, options),
                                       network.output_rows.weight().requires_grad());
  vocabulary += codebook_flops(network, sequence, options);
  return {.blocks = blocks.both,
          .attention = attention.both,
          .vocabulary = vocabulary.both,
          .forward = blocks.forward + attention.forward + vocabulary.forward};
}

double activation_bytes(const Transformer& transformer, const sequence::PackedSequence& sequence,
                        const nn::Recomputation& recomputation, const PrepareOptions& options) {
  const Transformer::Network& network = transformer.network();
  const auto element = static_cast<double>(c10::elementSize(network.type));
  double kept = 0, most = 0;  // by the blocks so far; when the backward pass is in one of them
  std::size_t number = 0;
  for (const BlockLoad& load : block_loads(network, sequence)) {
    const bool recompute = recomputation.takes_whole(++number);
    const nn::Recomputation parts = recompute ? nn::Recomputation() : recomputation;
    double inputs = 0, own = 0, arriving = 0, inside = 0;
    for (std::size_t s = 0; s < load.rows.size(); ++s) {
      const auto rows = static_cast<double>(load.rows[s]);
      const RowBytes bytes =
          row_bytes(network.config, element, load.rows.size() > 1, load.block->streams[s], parts);
      inputs += rows * bytes.input;
      own += rows * bytes.kept;
      arriving += rows * bytes.arriving;
      inside = std::max(inside, rows * bytes.inside);
    }
    kept += recompute ? inputs : own;
    // The blocks after it have let go of theirs.
    most = std::max(most, kept + arriving + inside + (recompute ? own : 0));
  }
  // The loss comes before the blocks in the backward pass: logits, and the rows that they are made of.
  const double loss = element * (competing_tokens(network, sequence, options) +
                                 2 * static_cast<double>(network.config.width) * loss_positions(sequence));
  return std::max(most, kept + loss);
}

}  // namespace omni::model
