#include "cuda_decode_network.h"

#include <algorithm>

#include "../int8_rows.h"
#include "../token_rules.h"
#include "cuda_cached_attention.h"
#include "cuda_launch.h"
#include "omni/core/error.h"

namespace omni::kernels {
namespace {

using at::Tensor;

float* scales(const Tensor& tensor) { return tensor.defined() ? tensor.mutable_data_ptr<float>() : nullptr; }

// Whether products of a few rows read a weight [outputs, inputs] as it lies.
bool has_layout_of_kernels(const Tensor& weight, bool bytes) {
  return weight.is_contiguous() && weight.scalar_type() == (bytes ? at::kChar : at::kBFloat16) &&
         weight.size(1) % (bytes ? 16 : 8) == 0;
}

// The shapes and types of a block's weights; empty where they fit.
std::string weight_refusal(const CudaDecodeNetwork& n, const CudaDecodeLayer& layer) {
  const std::int64_t width = n.token_rows.size(1), attended = n.heads * n.head_size;
  const bool bytes = n.layers.front().qkv.scales.defined();
  struct Wanted {
    const CudaDecodeMatrix* matrix;
    std::int64_t outputs, inputs;
  };
  const Wanted all[] = {{&layer.qkv, attended + 2 * n.key_value_heads * n.head_size, width},
                        {&layer.attention_out, width, attended},
                        {&layer.gate_up, 2 * n.inner, width},
                        {&layer.down, width, n.inner}};
  for (const Wanted& wanted : all) {
    const Tensor& weight = wanted.matrix->weight;
    if (weight.sizes() != at::IntArrayRef({wanted.outputs, wanted.inputs}))
      return concat("a weight is ", weight.sizes(), " in place of ", wanted.outputs, " by ", wanted.inputs);
    if (wanted.matrix->scales.defined() != bytes) return "some weights are in int8 and others are not";
    if (!has_layout_of_kernels(weight, bytes))
      return concat("there is no kernel for a weight ", weight.sizes(), " of ",
                    c10::toString(weight.scalar_type()));
  }
  return {};
}

std::string head_refusal(const CudaDecodeNetwork& n) {
  const Tensor& weight = n.head.weight;
  if (!weight.defined()) return {};
  const bool bytes = n.head.scales.defined();
  if (bytes != n.layers.front().qkv.scales.defined()) return "some weights are in int8 and others are not";
  if (weight.sizes() != n.token_rows.sizes() || !has_layout_of_kernels(weight, bytes) ||
      n.head.bias.defined() || weight.size(0) > token_rules::kMaximumRow)
    return concat("there is no kernel for a head ", weight.sizes(), " of ",
                  c10::toString(weight.scalar_type()));
  return {};
}

std::string cache_refusal(const CudaDecodeNetwork& n, const KeyValueCache& cache) {
  const KeyValueCache& first = *n.layers.front().cache;
  if (cache.type() == CacheType::fp32) return "there is no kernel for a cache in fp32";
  if (cache.keys().sizes() != first.keys().sizes() || cache.type() != first.type() ||
      cache.capacity() != first.capacity())
    return "the caches of the blocks differ";
  if (cache.key_value_heads() != n.key_value_heads || cache.head_size() != n.head_size)
    return concat("a cache of ", cache.key_value_heads(), " heads of ", cache.head_size(), " in place of ",
                  n.key_value_heads, " of ", n.head_size);
  OmniCudaDecodeAttention attention = decode_plan_attention(n, cache);
  attention.query = cache.keys().const_data_ptr();  // any address that is aligned
  if (!cuda_plugin().decode_attention_supports(&attention))
    return concat("there is no attention kernel for heads of ", n.head_size);
  return {};
}

void check_places(const CudaDecodeNetwork& n, const std::vector<CudaDecodePlace>& places) {
  check_cuda_decode_places(places, n.heads / n.key_value_heads, kCacheChunk);
  const KeyValueCache& cache = *n.layers.front().cache;
  for (const CudaDecodePlace& place : places)
    ensure(place.sequence < cache.sequences() && place.holder < cache.sequences() &&
               place.position < cache.capacity(),
           "decoding step: sequence ", place.sequence, ", token ", place.position, ", is not in the cache");
}

}  // namespace

CudaDecodeMatrix cuda_decode_matrix(const Tensor& weight, const Tensor& bf16, const Tensor& bias,
                                    DecodeFormat format) {
  CudaDecodeMatrix matrix;
  if (bias.defined()) matrix.bias = bias.detach().to(at::kFloat).contiguous();
  if (format == DecodeFormat::bf16) {
    matrix.weight = bf16.detach().contiguous();
    return matrix;
  }
  ensure(format == DecodeFormat::int8, "a GPU decodes with weights in bf16 or int8");
  const Int8Rows rows = int8_rows(weight);
  matrix.scales = rows.scales;
  matrix.weight = rows.values.contiguous();
  matrix.sums = rows.sums;
  return matrix;
}

std::optional<std::vector<CudaDecodePlace>> cuda_step_places(const KeyValueCache& cache,
                                                             std::span<const std::int32_t> sequences,
                                                             std::span<const std::int32_t> positions,
                                                             std::int64_t heads_per_key) {
  for (std::size_t i = 0; i < sequences.size(); ++i)
    ensure(positions[i] < cache.capacity() &&
               cache.holder(sequences[i], positions[i] / kCacheChunk) == sequences[i],
           "decoding step: a row has no place of its own in the cache");
  return cuda_decode_places(cache, sequences, positions, heads_per_key);
}

OmniCudaDecodeMatrix decode_plan_matrix(const CudaDecodeMatrix& m) {
  return {m.weight.const_data_ptr(),
          floats_or_null(m.scales),
          m.sums.defined() ? m.sums.const_data_ptr<std::int32_t>() : nullptr,
          floats_or_null(m.bias),
          m.weight.size(0),
          m.weight.size(1),
          m.scales.defined() ? kOmniCudaDecodeInt8 : kOmniCudaDecodeBf16};
}

OmniCudaDecodeAttention decode_plan_attention(const CudaDecodeNetwork& n, const KeyValueCache& cache) {
  OmniCudaDecodeAttention a{};
  a.keys = cache.keys().const_data_ptr();
  a.values = cache.values().const_data_ptr();
  a.key_scales = floats_or_null(cache.key_scales());
  a.value_scales = floats_or_null(cache.value_scales());
  a.query_stride = n.heads * n.head_size;
  a.room = cache.keys().size(2);
  a.row_count = static_cast<std::int32_t>(CudaDecodeStep::kMostRows);
  a.heads = static_cast<std::int32_t>(n.heads);
  a.key_value_heads = static_cast<std::int32_t>(n.key_value_heads);
  a.head_size = static_cast<std::int32_t>(n.head_size);
  a.keys_per_split = kCacheChunk;
  a.maximum_splits = static_cast<std::int32_t>(a.room / kCacheChunk);
  a.type = kOmniCudaBfloat16;
  a.cache_type = cache.type() == CacheType::int8 ? kOmniCudaCacheInt8 : kOmniCudaCacheLikeQuery;
  return a;
}

std::vector<OmniCudaDecodeLayer> decode_plan_layers(const CudaDecodeNetwork& n) {
  std::vector<OmniCudaDecodeLayer> layers;
  for (const CudaDecodeLayer& l : n.layers)
    layers.push_back({floats_or_null(l.attention_norm), floats_or_null(l.mlp_norm),
                      floats_or_null(l.query_norm), floats_or_null(l.key_norm), decode_plan_matrix(l.qkv),
                      decode_plan_matrix(l.attention_out), decode_plan_matrix(l.gate_up),
                      decode_plan_matrix(l.down), l.cache->keys().mutable_data_ptr(),
                      l.cache->values().mutable_data_ptr(), scales(l.cache->key_scales()),
                      scales(l.cache->value_scales()), nullptr});
  return layers;
}

OmniCudaDecodePlan decode_plan_of(const CudaDecodeNetwork& n) {
  const OmniCudaDecodeAttention attention = decode_plan_attention(n, *n.layers.front().cache);
  OmniCudaDecodePlan plan{};
  plan.embed.token_rows = floats_or_null(n.token_rows);
  plan.embed.slot_rows = floats_or_null(n.slot_rows);
  plan.embed.next_slot_rows = floats_or_null(n.next_slot_rows);
  plan.embed.vocabulary = n.token_rows.size(0);
  plan.embed.width = plan.width = n.token_rows.size(1);
  plan.final_norm = floats_or_null(n.final_norm);
  if (n.head.weight.defined()) plan.head = decode_plan_matrix(n.head);
  plan.inner = n.inner;
  plan.room = attention.room;
  plan.layer_count = static_cast<std::int32_t>(n.layers.size());
  plan.heads = attention.heads;
  plan.key_value_heads = attention.key_value_heads;
  plan.head_size = attention.head_size;
  plan.interleaved = n.interleaved ? 1 : 0;
  plan.centred = n.centred ? 1 : 0;
  plan.norm_epsilon = static_cast<float>(n.norm_epsilon);
  plan.head_norm_epsilon = static_cast<float>(n.head_norm_epsilon);
  plan.cache_type = attention.cache_type;
  plan.keys_per_split = attention.keys_per_split;
  plan.maximum_splits = attention.maximum_splits;
  return plan;
}

std::string decode_network_refusal(const CudaDecodeNetwork& n) {
  if (!n.token_rows.is_cuda()) return "the model is not on a GPU";
  if (!cuda_plugin().status.loaded)
    return concat("the CUDA plug-in is not loaded: ", cuda_plugin().status.detail);
  if (n.layers.empty()) return "the model has no blocks";
  const c10::DeviceGuard on(n.token_rows.device());
  for (const CudaDecodeLayer& layer : n.layers) {
    if (std::string why = cache_refusal(n, *layer.cache); !why.empty()) return why;
    if (std::string why = weight_refusal(n, layer); !why.empty()) return why;
  }
  return head_refusal(n);
}

void check_decode_rows(const CudaDecodeNetwork& n, std::span<const CudaDecodeStepRow> rows, bool drawn) {
  const auto within = [](std::int32_t index, const Tensor& table) {
    return !table.defined() || (index >= 0 && index < table.size(0));
  };
  std::vector<CudaDecodePlace> first, second;
  for (const CudaDecodeStepRow& row : rows) {
    ensure((within(row.token, n.token_rows) || (drawn && row.token == CudaDecodeStepRow::kDrawn)) &&
               within(row.slot, n.slot_rows) && within(row.next_slot, n.next_slot_rows),
           "decoding step: token ", row.token, " or its slots ", row.slot, " and ", row.next_slot,
           " have no embedding");
    ensure(static_cast<std::int64_t>(row.cosine.size()) == n.head_size / 2 &&
               row.sine.size() == row.cosine.size(),
           "decoding step: a row has other angles than the heads");
    first.push_back(row.first);
    second.push_back(row.second);
  }
  const auto is_second = [](const CudaDecodeLayer& layer) { return layer.second_place; };
  if (!std::all_of(n.layers.begin(), n.layers.end(), is_second)) check_places(n, first);
  if (std::any_of(n.layers.begin(), n.layers.end(), is_second)) check_places(n, second);
}

}  // namespace omni::kernels
