#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "omni/kernels/cuda_decode_attention.h"
#include "omni/kernels/decode_attention.h"
#include "omni/kernels/decode_format.h"

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

struct CudaDecodeNetwork {
  std::vector<CudaDecodeLayer> layers;
  at::Tensor token_rows;                 // [vocabulary, width] fp32
  at::Tensor slot_rows, next_slot_rows;  // [slots, width] fp32 or undefined
  at::Tensor final_norm;                 // [width] fp32 or undefined
  std::int64_t heads = 0, key_value_heads = 0, head_size = 0, inner = 0;
  bool interleaved = false, centred = false;  // which dimensions turn together; layer norm or RMS norm
  double norm_epsilon = 0, head_norm_epsilon = 0;
};

// A row of a step: its token, the rows of its slots, its places in the two kinds of caches (the rows of a group
// side by side, see CudaDecodePlace), and the cosines and sines of its angles [head_size / 2].
struct CudaDecodeStepRow {
  std::int32_t token = 0, slot = 0, next_slot = 0;
  CudaDecodePlace first, second;
  std::vector<float> cosine, sine;
};

// Where rows stand and what they share; see CudaDecodePlace. Nothing where the kernels cannot read it. Throws
// Error(internal) for a row that the cache has no place of its own for.
std::optional<std::vector<CudaDecodePlace>> cuda_step_places(const KeyValueCache& cache,
                                                             std::span<const std::int32_t> sequences,
                                                             std::span<const std::int32_t> positions,
                                                             std::int64_t heads_per_key);

// One token of each of a few rows through all blocks in bf16, by the plug-in's kernels alone. Its memory is
// allocated once; what changes is uploaded in one copy. From the second step of as many rows on
// its launches are one graph, where the plug-in makes one. Runs on the current stream of the model's device,
// which is to be the same for all steps.
class CudaDecodeStep {
 public:
  static constexpr std::int64_t kMostRows = 8;

  // Why the GPU's kernels cannot run the network; empty where they can.
  static std::string refusal(const CudaDecodeNetwork& network);

  enum class Launches { graph, plain };
  // Weights all in bf16 or all in int8. Throws Error(internal) for a network that is refused.
  explicit CudaDecodeStep(CudaDecodeNetwork network, Launches launches = Launches::graph);
  ~CudaDecodeStep();
  CudaDecodeStep(const CudaDecodeStep&) = delete;
  CudaDecodeStep& operator=(const CudaDecodeStep&) = delete;

  // 1 to kMostRows rows -> [rows, width] bf16, normed; good until the next step. Throws Error(internal), with
  // nothing done, for rows whose token, slots, places or angles are none of the network's, and where the GPU
  // refuses the launch.
  at::Tensor run(std::span<const CudaDecodeStepRow> rows);
  bool ran_graph() const;  // the last step

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace omni::kernels
