#include "cudnn_attention.h"

#include <ATen/Context.h>
#include <ATen/ops/_scaled_dot_product_cudnn_attention.h>
#include <ATen/ops/scaled_dot_product_attention.h>

#include <vector>

#include "attention_islands.h"
#include "omni/core/error.h"

namespace omni::kernels {

using at::Tensor;

namespace {

// Causal attention of [documents, heads, length, head size].
Tensor attend(const Tensor& query, const Tensor& key, const Tensor& value, std::int64_t length) {
  constexpr bool kKeepLogSum = true, kCausal = true;
  // LibTorch keeps sequences of one row from cuDNN, and so they take whatever it chooses.
  if (length == 1) return at::scaled_dot_product_attention(query, key, value, {}, 0.0, kCausal);
  return std::get<0>(
      at::_scaled_dot_product_cudnn_attention(query, key, value, {}, kKeepLogSum, 0.0, kCausal));
}

}  // namespace

Tensor cudnn_attention(const Tensor& query, const Tensor& key, const Tensor& value,
                       const AttentionSpans& spans) {
  const std::int64_t group = query.size(1) / key.size(1);
  const std::vector<RowRange> islands = spans.islands();
  std::vector<Tensor> parts;
  for (std::size_t first = 0; first < islands.size();) {
    const std::int64_t length = islands[first].last - islands[first].first;
    std::size_t last = first + 1;
    while (last < islands.size() && islands[last].last - islands[last].first == length) ++last;
    const auto documents = static_cast<std::int64_t>(last - first);
    const auto heads_first = [&](const Tensor& x, std::int64_t repeat) {
      const Tensor own = x.narrow(0, islands[first].first, documents * length)
                             .unflatten(0, at::IntArrayRef{documents, length})
                             .transpose(1, 2);
      return repeat == 1 ? own : own.repeat_interleave(repeat, 1);
    };
    parts.push_back(attend(heads_first(query, 1), heads_first(key, group), heads_first(value, group), length)
                        .transpose(1, 2)
                        .flatten(0, 1));
    first = last;
  }
  return parts.empty() ? at::zeros_like(query) : at::concat(parts, 0);
}

std::string cudnn_refusal(const Tensor& query, const AttentionSpans& spans) {
  constexpr std::int64_t kWidest = 128;
  // The gates of scaled_dot_product_attention, which a direct call goes past.
  const at::Context& context = at::globalContext();
  if (context.deterministicAlgorithms() && !context.deterministicAlgorithmsWarnOnly())
    return "cuDNN's gradients are not deterministic, and deterministic algorithms are asked for";
  if (!context.userEnabledCuDNNSDP()) return "cuDNN's attention is switched off in LibTorch";
  if (!query.is_cuda()) return "the tensors are not on a CUDA device";
  if (query.scalar_type() != at::kBFloat16 && query.scalar_type() != at::kHalf)
    return concat("cuDNN has no attention for ", c10::toString(query.scalar_type()));
  if (query.size(2) % 8 != 0 || query.size(2) > kWidest)
    return concat("cuDNN takes head sizes that are multiples of 8 up to ", kWidest, ", not ", query.size(2));
  if (!at::Context::hasCuDNN()) return "this LibTorch has no cuDNN";
  if (!holds_causal_documents(spans))
    return "not every document is causal, and cuDNN would need a dense mask";
  return {};
}

}  // namespace omni::kernels
