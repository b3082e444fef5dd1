#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "omni/core/config.h"
#include "omni/kernels/packed_attention.h"
#include "omni/kernels/tensor.h"
#include "omni/model/prepared_batch.h"
#include "omni/nn/block_executor.h"
#include "omni/nn/decoder_shape.h"
#include "omni/nn/low_rank.h"
#include "omni/nn/parameters.h"
#include "omni/sequence/layout.h"
#include "omni/sequence/packed_sequence.h"
#include "omni/sequence/task.h"
#include "omni/sequence/vocabulary.h"

namespace omni::model {

// A decoder-only, pre-norm transformer. streams: 1 is a plain decoder of `single_blocks`. streams: 2 gives
// text and generated modalities their own weights in `dual_blocks` with one attention over both in document
// order, then `single_blocks` over the generated stream, or over all.
struct TransformerConfig : nn::DecoderShape {
  std::int64_t streams = 1;
  std::int64_t dual_blocks = 0;
  std::int64_t single_blocks = 6;
  std::string single_over = "all";  // all, generated (streams: 2 only)
  std::string rope = "half";        // half, interleaved: which head dimensions form pairs
  double rope_theta = 10000;
  // Head dimensions turned by offset, row and column; their sum is the head size, each even. Empty: all by
  // offset.
  std::vector<std::int64_t> rope_split;
  bool tied_embeddings = true;
  // Adds a row per (modality, slot) of the token and of the token that comes next.
  bool slot_embedding = true;
  // Code rows = learned projection of the tokenizers' codebooks + residual rows.
  bool codebook_embedding = true;
  // Modalities whose segments see all of themselves; all others are causal. Such a segment can only be a
  // condition: see check_task.
  std::vector<std::string> bidirectional;
  // What rows may be embedded from in place of tokens: vectors of that width, each input with a projection of its own.
  struct FeatureInput {
    std::string name;
    std::int64_t width = 1;
  };
  std::vector<FeatureInput> features;
  double dropout = 0;  // after attention and MLP, in training

  std::int64_t block_count() const { return dual_blocks + single_blocks; }
  bool is_bidirectional(sequence::Modality modality) const;
  // Head dimensions turned by each coordinate: rope_split, or all of them by the offset.
  std::vector<std::int64_t> rotary_axes() const {
    return rope_split.empty() ? std::vector<std::int64_t>{attention_head_size()} : rope_split;
  }
  bool drops_text() const {
    return streams == 2 && single_over == "generated";
  }  // half-way: it has no output
};
void describe(ConfigVisitor& visitor, TransformerConfig& config);
// Throws Error(usage) for sizes that cannot work together.
void validate(const TransformerConfig& config);
// Throws Error(usage) for a task that the model cannot learn or serve: text targets where single blocks see
// the generated stream alone, targets of a bidirectional modality (they would see themselves).
void check_task(const TransformerConfig& config, const sequence::Task& task);

// The codebook of a range of codes, for rows that start from a projection of it.
struct RangeCodebook {
  std::string range;    // "image", "geometry", "colour"
  at::Tensor codebook;  // [range size, dimension]
};

// Of one prepared batch. All tensors are on the model's device, and nothing waits for it.
struct TransformerLoss {
  // [3] fp32 with graph, by target modality (index: sequence::Modality): its weight x the sum of loss weight x
  // (cross-entropy + z_loss x log^2 Z).
  at::Tensor objective;
  at::Tensor sums;  // see LossSums; those of several batches are added
  // [N] fp32, detached; 0 where no loss counts. N: of what was packed; of a batch that fills a capacity, of all of it.
  at::Tensor position_cross_entropy;
};

// What TransformerLoss::sums [6 + tasks] fp64 adds up, in this order.
struct LossSums {
  std::array<double, sequence::kModalityCount> cross_entropy{};  // loss weight x cross-entropy, in nats
  std::array<std::int64_t, sequence::kModalityCount> correct{};  // targets that are the best allowed token
  std::vector<double> task_cross_entropy;                        // as above, by task

  static LossSums read(const at::Tensor& sums);  // waits for the device
};

struct LossOptions {
  double z_loss = 0;
  bool training = true;  // dropout
  // What is dropped is a function of it: each micro-batch of each step wants its own.
  std::uint64_t dropout_seed = 0;
  std::array<double, sequence::kModalityCount> modality_weights{1, 1, 1};  // of the objective
};

class PassInputs;  // pass_inputs.h

class Transformer {
 public:
  // Codebooks are needed for the code ranges that the vocabulary has if config.codebook_embedding is set and
  // the weights will not be loaded; a range without one has plain rows.
  Transformer(const TransformerConfig& config, const sequence::Vocabulary& vocabulary,
              const sequence::SequenceLayout& layout, nn::ParameterStart start = {},
              const std::vector<RangeCodebook>& codebooks = {});
  ~Transformer();
  Transformer(const Transformer&) = delete;
  Transformer& operator=(const Transformer&) = delete;

  const TransformerConfig& config() const;
  const sequence::Vocabulary& vocabulary() const;
  const sequence::SequenceLayout& layout() const;
  nn::ParameterStore& parameters();
  const nn::ParameterStore& parameters() const;

  // Activations in kBFloat16 or kFloat; weights stay fp32 and are cast once after each change.
  void set_activation_type(at::ScalarType type);
  at::ScalarType activation_type() const;
  // How training computes attention; see kernels::AttentionPath.
  void set_attention_path(kernels::AttentionPath path);
  // Which operations of training run as one kernel each on a GPU; at first none.
  void set_fused_kernels(const kernels::FusedKernels& fused);
  void to(at::Device device);
  // And the matrices of blocks and head, which alone are multiplied with rows of activations, in that type: bf16 halves the
  // memory of a model that samples in bf16 on a GPU, with the same results. Such a model is not trained or saved.
  void to(at::Device device, at::ScalarType matrix_type);
  at::Device device() const;
  // What of the blocks is made again in the backward pass instead of being kept.
  void set_recompute(const nn::Recomputation& recomputation);
  // Frees the copies of weights that decoding and products in another type have made.
  void forget_copies();
  // How its blocks are called from now on, if not as set_recompute() says.
  void set_executor(std::unique_ptr<nn::BlockExecutor> executor);

  // What the loss of a packed sequence needs, which may be empty or without losses: it has zero gradients then.
  // May be called by any thread but while the model is moved or folded.
  PreparedBatch prepare(const sequence::PackedSequence& sequence, const PrepareOptions& options = {}) const;
  // What a capacity must have for the sequence to be laid out in it; exact. As prepare() otherwise.
  BatchCapacity needs(const sequence::PackedSequence& sequence, const PrepareOptions& options = {}) const;
  // Cross-entropy over the tokens that the grammar allows at each position, or over all. The backward pass adds
  // the gradients of embedding, head and slots to their .grad itself, making it where there is none.
  TransformerLoss loss(const PreparedBatch& batch, const LossOptions& options = {}) const;
  // On a GPU, the same of what the inputs hold when it runs there, also where it is replayed; of the options z_loss and
  // whether it is training count. Attention is the kernel's, for the other paths go by a batch on the host.
  TransformerLoss loss(const PassInputs& inputs, const LossOptions& options) const;
  // [N, vocabulary] fp32, every token, allowed or not. Without graph; for tests and evaluation.
  at::Tensor logits(const sequence::PackedSequence& sequence) const;

  // What rows are embedded from by the input of features of that number, as decoding takes it: [rows, width of the input] ->
  // [rows, width] fp32 on the CPU. Without graph.
  at::Tensor embed_features(std::int32_t input, const at::Tensor& features) const;

  // Puts low-rank adapters, which start as `start` says, into the linear layers of the blocks that the patterns choose, and
  // freezes all other parameters. Layers are called as their parameters are, "dual_blocks.0.text.qkv",
  // "single_blocks.2.down". Throws Error(usage) as chosen_by_patterns(). Once, before the store is sealed.
  void add_adapters(const nn::LowRankConfig& config, nn::ParameterStart start);
  // Adds the adapters into the weights, which stay frozen; the forward pass stays the same within rounding.
  void merge_adapters();
  const nn::LowRankConfig& adapters() const;  // rank 0: there are none

  // Adds the codebook projections into the embedding rows; the forward pass stays the same. Without
  // gradients.
  void fold_codebooks();
  bool has_codebooks() const;

  // Names of parameters whose rows are token ids, for updates of new rows alone.
  std::vector<std::string> token_row_parameters() const;
  struct Network;  // the layers: src/model/transformer_network.h
  Network& network() { return *network_; }
  const Network& network() const { return *network_; }

 private:
  std::unique_ptr<Network> network_;
};

// A copy with a larger vocabulary (`larger` must extend the old one): old rows stay bit for bit, new rows are
// the row of <any> plus normal noise of `noise` times that row's root mean square. Of shapes alone, shapes.
std::unique_ptr<Transformer> grow_vocabulary(const Transformer& model, const sequence::Vocabulary& larger,
                                             std::uint64_t seed, double noise = 0.1);

}  // namespace omni::model
