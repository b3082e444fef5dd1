#pragma once

#include <cstdint>

#include "decode_attention_interface.h"
#include "decode_heads_interface.h"
#include "decode_product_interface.h"
#include "decode_step_interface.h"
#include "token_sampling_interface.h"

// The C interface of a whole decoding step: one token of each of a few rows through all blocks of a transformer
// in bf16, by the plug-in's kernels alone. All pointers but those to the plan and its layers are to device
// memory that the caller allocated; the plan owns nothing.
extern "C" {

// One stream's weights of one block, and the block's cache.
struct OmniCudaDecodeLayer {
  const float* attention_norm;  // [width] or null
  const float* mlp_norm;
  const float* query_norm;  // [head_size] or null
  const float* key_norm;
  OmniCudaDecodeMatrix qkv, attention_out, gate_up, down;
  void* keys;  // as in OmniCudaCacheWrite
  void* values;
  float* key_scales;
  float* value_scales;
  const OmniCudaDecodeRow* rows;  // [rows]: this cache's
};

// What a step computes in. Sizes are in elements; each at a multiple of 16 bytes.
struct OmniCudaDecodeMemory {
  float* residual[2];  // [rows, width]; the step begins with the first
  void* normed;        // [rows, width] bf16; after the step, what the blocks put out
  void* qkv;           // [rows, (heads + 2 key_value_heads) head_size] bf16
  void* query;         // [rows, heads, head_size] bf16
  void* attended;      // the same
  void* delta;         // [rows, width] bf16
  void* gate_up;       // [rows, 2 inner] bf16
  void* hidden;        // [rows, inner] bf16
  signed char* upper;  // [rows, widest input] for weights in int8, else null
  signed char* lower;
  float* row_scales;  // [rows]
  void* attention;    // as OmniCudaDecodeAttention::workspace, for the widest call
  float* logits;      // [rows, vocabulary]; null: none are made
};

struct OmniCudaDecodePlan {
  OmniCudaDecodeBegin begin;
  OmniCudaDecodeEmbed embed;          // into residual[0]; token_rows null: the caller has put it there
  const OmniCudaDecodeLayer* layers;  // null: the step is the head alone, of what memory.normed holds
  const float* final_norm;            // [width] or null
  OmniCudaDecodeMatrix head;          // its inputs: width; weight null: none
  const std::int32_t* runs;           // of OmniCudaDecodeProduct, for the head
  OmniCudaDecodeMemory memory;
  const float* cosine;  // [rows, head_size / 2]
  const float* sine;
  std::int64_t width, inner, room;
  std::int32_t layer_count, rows, heads, key_value_heads, head_size;
  std::int32_t interleaved, centred;  // see OmniCudaDecodeHeads and OmniCudaAddNorm
  float norm_epsilon, head_norm_epsilon;
  OmniCudaCacheType cache_type;
  std::int32_t keys_per_split, maximum_splits;
  OmniCudaTokenSampling sampling;  // batch 0: nothing is drawn
  OmniCudaDecodePublish publish;
};

using OmniCudaDecodeLaunchFunction = std::int32_t (*)(const OmniCudaDecodePlan*, void* stream);
using OmniCudaDecodeCaptureFunction = std::int32_t (*)(const OmniCudaDecodePlan*, void** graph);
using OmniCudaDecodeGraphLaunchFunction = std::int32_t (*)(void* graph, void* stream);
using OmniCudaDecodeDestroyFunction = std::int32_t (*)(void* graph);

// The launches of one step, one after the other; no wait, no allocation. The first error ends them.
std::int32_t omni_cuda_decode_launch(const OmniCudaDecodePlan* plan, void* stream);
// The same launches as a graph of the current device. Nothing runs; the step must have been launched once
// before, which sets the kernels' attributes. The plan may go; the memory must stay for the graph's life.
// kOmniCudaUnsupported where there are no graphs.
std::int32_t omni_cuda_decode_capture(const OmniCudaDecodePlan* plan, void** graph);
std::int32_t omni_cuda_decode_graph_launch(void* graph, void* stream);
std::int32_t omni_cuda_decode_destroy(void* graph);  // after its last launch has ended
}
