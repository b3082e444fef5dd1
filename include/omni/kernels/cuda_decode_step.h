#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "omni/kernels/cuda_decode_attention.h"
#include "omni/kernels/decode_attention.h"
#include "omni/kernels/decode_format.h"
#include "omni/kernels/decode_sizes.h"
#include "omni/kernels/drawn_token.h"
#include "omni/kernels/tensor.h"
#include "omni/kernels/token_sampling.h"

namespace omni::kernels {

// A weight as the GPU's products of a few rows read it, in the scheme of DecodeWeight.
struct CudaDecodeMatrix {
  at::Tensor weight;        // [outputs, inputs] bf16 or int8
  at::Tensor scales, sums;  // [outputs] fp32 and int32; undefined unless int8
  at::Tensor bias;          // [outputs] fp32 or undefined
};
// weight [outputs, inputs] fp32 and its copy in bf16, which is kept as it is; `format` bf16 or int8.
CudaDecodeMatrix cuda_decode_matrix(const at::Tensor& weight, const at::Tensor& bf16, const at::Tensor& bias,
                                    DecodeFormat format);

// One block: the weights of the stream that the rows belong to, and where its keys and values are kept.
struct CudaDecodeLayer {
  at::Tensor attention_norm, mlp_norm;  // [width] fp32 or undefined
  at::Tensor query_norm, key_norm;      // [head_size] fp32 or undefined
  CudaDecodeMatrix qkv, attention_out, gate_up, down;
  KeyValueCache* cache = nullptr;  // is written to; must outlive the step; of one size in all blocks
  bool second_place = false;       // rows stand in this cache at CudaDecodeStepRow::second
};

struct CudaDecodeNetwork : DecodeSizes {
  std::vector<CudaDecodeLayer> layers;
  at::Tensor token_rows;                 // [vocabulary, width] fp32
  at::Tensor slot_rows, next_slot_rows;  // [slots, width] fp32 or undefined
  at::Tensor final_norm;                 // [width] fp32 or undefined
  CudaDecodeMatrix head;                 // [vocabulary, width], no bias; without a weight nothing is drawn
};

// A row of a step: its token, the rows of its slots, its places in the two kinds of caches (the rows of a group
// side by side, see CudaDecodePlace), and the cosines and sines of its angles [head_size / 2].
struct CudaDecodeStepRow {
  static constexpr std::int32_t kDrawn = -1;  // as a token: what the step before drew for the row's sample
  std::int32_t token = 0, slot = 0, next_slot = 0;
  CudaDecodePlace first, second;
  std::vector<float> cosine, sine;
};

// What is drawn of a sample: see SamplingInput, whose rows are the sample's. Runs of allowed tokens are disjoint,
// kMaximumTokenRuns at most.
struct CudaDecodeDraw {
  std::vector<TokenRun> allowed;
  std::vector<double> guidance;
  SamplingSettings settings;  // the repetition penalty has no say
  SamplingKey key;
};

// A step after which a token of each sample is drawn. Samples have as many rows each, side by side in the order
// of SamplingInput::rows.
struct CudaDrawingStep {
  std::vector<CudaDecodeStepRow> rows;
  std::vector<CudaDecodeDraw> draws;  // of each sample
};

// Where rows stand and what they share; see CudaDecodePlace. Nothing where the kernels cannot read it. Throws
// Error(internal) for a row that the cache has no place of its own for.
std::optional<std::vector<CudaDecodePlace>> cuda_step_places(const KeyValueCache& cache,
                                                             std::span<const std::int32_t> sequences,
                                                             std::span<const std::int32_t> positions,
                                                             std::int64_t heads_per_key);

// One token of each of a few rows through all blocks in bf16, by the plug-in's kernels alone, and stretches of
// such steps, each of which shows what the one before drew. Memory is allocated once; what changes is uploaded
// in one copy, for a whole stretch together. From the second step of a kind and of as many rows on its launches
// are one graph, where the plug-in makes one. Runs on the current stream of the model's device, which is to be
// the same for all steps.
class CudaDecodeStep {
 public:
  static constexpr std::int64_t kMostRows = 8;
  static constexpr std::int64_t kMostSteps = 64;  // of a stretch

  // Why the GPU's kernels cannot run the network; empty where they can.
  static std::string refusal(const CudaDecodeNetwork& network);

  enum class Launches { graph, plain };
  // Weights all in bf16 or all in int8. Throws Error(internal) for a network that is refused.
  explicit CudaDecodeStep(CudaDecodeNetwork network, Launches launches = Launches::graph);
  ~CudaDecodeStep();
  CudaDecodeStep(const CudaDecodeStep&) = delete;
  CudaDecodeStep& operator=(const CudaDecodeStep&) = delete;

  // 1 to kMostRows rows -> [rows, width] bf16, normed; good until the next call. Throws Error(internal), with
  // nothing done, for rows whose token, slots, places or angles are none of the network's, and where the GPU
  // refuses the launch.
  at::Tensor run(std::span<const CudaDecodeStepRow> rows);

  // hidden [rows, width], what run() gave of 1 to kMostRows rows, on any device -> [rows, vocabulary] fp32 on the
  // GPU, of which only `runs` are made (disjoint, kMaximumTokenRuns at most); good until the next call.
  at::Tensor logits(const at::Tensor& hidden, std::span<const TokenRun> runs);

  // 1 to kMostSteps steps of equally many rows and samples, without a word from the host in between -> what
  // each drew, sample by sample. Later rows may have the token kDrawn. A sample in which nothing can be drawn
  // goes on with any token, and what comes after the fault means nothing. Waits for the end. Throws as run().
  std::vector<std::vector<DrawnToken>> draw(std::span<const CudaDrawingStep> steps);
  at::Tensor hidden(std::int64_t rows) const;  // what run() would have given of the last step

  bool ran_graph() const;  // the last step

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace omni::kernels
