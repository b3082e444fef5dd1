#include "omni/model/decoding_memory.h"

#include "omni/kernels/decode_attention.h"
#include "omni/kernels/decode_linear.h"
#include "transformer_network.h"

namespace omni::model {
namespace {

using kernels::DecodeFormat;

std::int64_t packed_bytes(const Tensor& matrix, DecodeFormat format) {
  const kernels::DecodePanels panels = kernels::panel_shapes(matrix.size(0), matrix.size(1), format);
  std::int64_t bytes = 0;
  for (const Tensor& part : {panels.panels, panels.scales, panels.sums})
    if (part.defined()) bytes += static_cast<std::int64_t>(part.nbytes());
  return bytes;
}

// The bytes of a matrix's panels.
class PanelBytes {
 public:
  PanelBytes(const nn::ParameterStore& parameters, DecodeFormat format, const WeightStorage& storage)
      : format_(format), mapped_(storage.mapped) {
    for (const nn::Parameter& parameter : parameters.all())
      if (storage.of_bf16.contains(parameter.name)) of_bf16_.insert(parameter.value.unsafeGetTensorImpl());
  }

  std::int64_t of(const Tensor& matrix) const {
    if (!matrix.defined()) return 0;
    const bool in_twelve_bits =
        mapped_ && (format_ == DecodeFormat::bf16 ||
                    (format_ == DecodeFormat::fp32 && of_bf16_.contains(matrix.unsafeGetTensorImpl())));
    return in_twelve_bits ? packed_bytes(matrix, DecodeFormat::bf16) / 4 * 3 : packed_bytes(matrix, format_);
  }

 private:
  DecodeFormat format_;
  bool mapped_;
  std::set<const void*> of_bf16_;
};

std::int64_t cache_bytes_per_number(kernels::CacheType type) {
  return type == kernels::CacheType::fp32 ? 4 : type == kernels::CacheType::bf16 ? 2 : 1;
}

std::int64_t cache_bytes(const TransformerConfig& config, kernels::CacheType type, std::int64_t sequences,
                         std::int64_t capacity) {
  constexpr std::int64_t kChunk = kernels::kCacheChunk;
  const std::int64_t places = (capacity + kChunk - 1) / kChunk * kChunk;
  std::int64_t per_place = config.attention_head_size() * cache_bytes_per_number(type);
  if (type == kernels::CacheType::int8) per_place += 4;  // a scale
  return 2 * config.block_count() * sequences * config.stored_heads() * places * per_place;
}

// The weights of all linear layers of the blocks.
std::vector<Tensor> block_matrices(const Transformer::Network& network) {
  std::vector<Tensor> matrices;
  for (const auto* blocks : {&network.dual_blocks, &network.single_blocks})
    for (const nn::DecoderBlock& block : *blocks)
      for (const nn::StreamLayers& stream : block.streams)
        for (const nn::CastLinear* layer :
             {&stream.qkv, &stream.attention_out, &stream.gate_up, &stream.down})
          if (layer->defined()) matrices.push_back(layer->weight.weight());
  return matrices;
}

}  // namespace

DecodingMemory decoding_memory(const Transformer& transformer, const DecodePrecision& precision,
                               std::int64_t sequences, std::int64_t capacity, const WeightStorage& storage) {
  const Transformer::Network& network = transformer.network();
  const TransformerConfig& config = network.config;
  const PanelBytes panels(network.parameters, precision.weights, storage);
  std::int64_t packed = panels.of(network.output_rows.weight());
  std::int64_t matrices = network.head.defined() ? network.head.numel() : 0;
  for (const Tensor& matrix : block_matrices(network)) {
    packed += panels.of(matrix);
    matrices += matrix.numel();
  }
  const std::int64_t all = network.parameters.element_count();
  DecodingMemory memory;
  memory.weights = packed + 4 * (storage.mapped ? all - matrices : all);
  memory.cache = cache_bytes(config, precision.cache, sequences, capacity);
  return memory;
}

DecodingMemory device_decoding_memory(const Transformer& transformer, const DecodePrecision& precision,
                                      std::int64_t sequences, std::int64_t capacity) {
  const Transformer::Network& network = transformer.network();
  const std::int64_t each = precision.weights == kernels::DecodeFormat::fp32 ? 4 : 2;
  std::int64_t matrices = network.head.defined() ? network.head.numel() : 0;
  for (const Tensor& matrix : block_matrices(network)) matrices += matrix.numel();
  DecodingMemory memory;
  memory.weights = each * matrices + 4 * (network.parameters.element_count() - matrices);
  // The embedding is looked up in fp32, and multiplied with in bf16.
  if (!network.head.defined() && each == 2) memory.weights += each * network.embedding.numel();
  memory.cache = cache_bytes(network.config, precision.cache, sequences, capacity);
  return memory;
}

}  // namespace omni::model
