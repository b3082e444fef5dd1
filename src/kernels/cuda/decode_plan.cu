#include <cmath>

#include "decode_plan_interface.h"
#include "device.h"
#include "plugin_interface.h"

namespace omni::cuda {
namespace {

// The launches of one step in their order; after the first error there are no more.
class DecodeStep {
 public:
  DecodeStep(const OmniCudaDecodePlan& plan, void* stream) : plan_(plan), stream_(stream) {}

  int run() {
    keep([&] { return omni_cuda_decode_begin(&plan_.begin, stream_); });
    if (plan_.layers) pass_blocks();
    if (plan_.head.weight)
      product(plan_.head, plan_.memory.normed, plan_.memory.logits, kOmniCudaFloat, plan_.runs);
    if (plan_.sampling.batch > 0) {
      keep([&] { return omni_cuda_token_sampling(&plan_.sampling, stream_); });
      keep([&] { return omni_cuda_decode_publish(&plan_.publish, stream_); });
    }
    return error_;
  }

 private:
  // Launches unless there was an error before.
  template <class Launch>
  void keep(const Launch& launch) {
    if (error_ == kSuccess) error_ = launch();
  }

  void pass_blocks() {
    if (plan_.embed.token_rows) keep([&] { return omni_cuda_decode_embed(&plan_.embed, stream_); });
    for (int i = 0; i < plan_.layer_count; ++i) pass(plan_.layers[i]);
    norm(plan_.final_norm);
  }

  void pass(const OmniCudaDecodeLayer& layer) {
    const OmniCudaDecodeMemory& m = plan_.memory;
    norm(layer.attention_norm);
    product(layer.qkv, m.normed, m.qkv);
    attend(layer);
    add(layer.attention_out, m.attended);
    norm(layer.mlp_norm);
    product(layer.gate_up, m.normed, m.gate_up);
    const OmniCudaSwiglu swiglu{m.gate_up, nullptr, m.hidden, plan_.rows, plan_.inner, kOmniCudaBfloat16};
    keep([&] { return omni_cuda_swiglu(&swiglu, stream_); });
    add(layer.down, m.hidden);
  }

  // To the residual, by the norm that comes next.
  void add(const OmniCudaDecodeMatrix& matrix, const void* x) {
    product(matrix, x, plan_.memory.delta);
    has_delta_ = true;
  }

  // normed = norm of the residual, to which the last layer's output is added on the way.
  void norm(const float* weight) {
    const OmniCudaDecodeMemory& m = plan_.memory;
    OmniCudaAddNorm a{};
    a.residual = m.residual[residual_];
    a.weight = weight;
    a.output = m.normed;
    if (has_delta_) {
      a.delta = m.delta;
      a.sum = m.residual[1 - residual_];
      residual_ = 1 - residual_;
      has_delta_ = false;
    }
    a.rows = plan_.rows;
    a.width = plan_.width;
    a.epsilon = plan_.norm_epsilon;
    a.centred = plan_.centred;
    a.type = kOmniCudaBfloat16;
    keep([&] { return omni_cuda_add_norm(&a, stream_); });
  }

  void product(const OmniCudaDecodeMatrix& matrix, const void* x, void* y,
               OmniCudaType type = kOmniCudaBfloat16, const std::int32_t* runs = nullptr) {
    const OmniCudaDecodeMemory& m = plan_.memory;
    const OmniCudaDecodeFixedRows fixed{x, m.upper, m.lower, m.row_scales, matrix.inputs, plan_.rows};
    if (matrix.format == kOmniCudaDecodeInt8)
      keep([&] { return omni_cuda_decode_fixed_rows(&fixed, stream_); });
    const OmniCudaDecodeProduct a{matrix, x, fixed, runs, y, plan_.rows, type};
    keep([&] { return omni_cuda_decode_product(&a, stream_); });
  }

  void attend(const OmniCudaDecodeLayer& layer) {
    const OmniCudaDecodeMemory& m = plan_.memory;
    const OmniCudaDecodeHeads heads{m.qkv,
                                    m.query,
                                    layer.keys,
                                    layer.values,
                                    layer.key_scales,
                                    layer.value_scales,
                                    layer.query_norm,
                                    layer.key_norm,
                                    plan_.cosine,
                                    plan_.sine,
                                    layer.rows,
                                    plan_.room,
                                    plan_.rows,
                                    plan_.heads,
                                    plan_.key_value_heads,
                                    plan_.head_size,
                                    plan_.interleaved,
                                    plan_.head_norm_epsilon,
                                    plan_.cache_type};
    keep([&] { return omni_cuda_decode_heads(&heads, stream_); });
    OmniCudaDecodeAttention a{};
    a.query = m.query;
    a.output = m.attended;
    a.keys = layer.keys;
    a.values = layer.values;
    a.key_scales = layer.key_scales;
    a.value_scales = layer.value_scales;
    a.rows = layer.rows;
    a.query_stride = std::int64_t{plan_.heads} * plan_.head_size;
    a.room = plan_.room;
    a.row_count = plan_.rows;
    a.heads = plan_.heads;
    a.key_value_heads = plan_.key_value_heads;
    a.head_size = plan_.head_size;
    a.keys_per_split = plan_.keys_per_split;
    a.maximum_splits = plan_.maximum_splits;
    a.type = kOmniCudaBfloat16;
    a.cache_type = plan_.cache_type;
    a.scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(plan_.head_size)));
    a.workspace = m.attention;
    keep([&] { return omni_cuda_decode_attention(&a, stream_); });
  }

  const OmniCudaDecodePlan& plan_;
  void* stream_;
  int error_ = kSuccess, residual_ = 0;
  bool has_delta_ = false;
};

}  // namespace
}  // namespace omni::cuda

extern "C" {

std::int32_t omni_cuda_decode_launch(const OmniCudaDecodePlan* plan, void* stream) {
  return omni::cuda::DecodeStep(*plan, stream).run();
}

#ifdef OMNI_HOST_SHIM

std::int32_t omni_cuda_decode_capture(const OmniCudaDecodePlan*, void**) { return kOmniCudaUnsupported; }
std::int32_t omni_cuda_decode_graph_launch(void*, void*) { return kOmniCudaUnsupported; }
std::int32_t omni_cuda_decode_destroy(void*) { return kOmniCudaUnsupported; }

#else

// On a stream of its own, which nobody else can use meanwhile. Thread-local: what other threads do (an
// allocation, say) neither joins the graph nor breaks it.
std::int32_t omni_cuda_decode_capture(const OmniCudaDecodePlan* plan, void** graph) {
  using namespace omni::cuda;
  cudaStream_t stream = nullptr;
  if (const int error = take_error(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking))) return error;
  cudaGraph_t captured = nullptr;
  int error = take_error(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  if (error == kSuccess) {
    error = DecodeStep(*plan, stream).run();
    const int ended = take_error(cudaStreamEndCapture(stream, &captured));
    if (error == kSuccess) error = ended;
  }
  const int destroyed = take_error(cudaStreamDestroy(stream));
  if (error == kSuccess) error = destroyed;
  cudaGraphExec_t executable = nullptr;
  if (error == kSuccess) error = take_error(cudaGraphInstantiate(&executable, captured, 0));
  if (captured) take_error(cudaGraphDestroy(captured));
  if (error == kSuccess) *graph = executable;
  return error;
}

std::int32_t omni_cuda_decode_graph_launch(void* graph, void* stream) {
  using namespace omni::cuda;
  return take_error(cudaGraphLaunch(static_cast<cudaGraphExec_t>(graph), static_cast<cudaStream_t>(stream)));
}

std::int32_t omni_cuda_decode_destroy(void* graph) {
  return omni::cuda::take_error(cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(graph)));
}

#endif
}
