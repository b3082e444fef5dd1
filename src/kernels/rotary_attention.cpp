#include "omni/kernels/rotary_attention.h"

#include "attention_path.h"
#include "cpu/cpu_rotary_attention.h"
#include "cuda/cuda_head_rotation.h"
#include "cuda/cuda_launch.h"
#include "omni/core/error.h"
#include "projected_heads.h"

namespace omni::kernels {

using at::Tensor;

Tensor norm_and_rotate(const Tensor& x, const RotaryAttention& options, const Tensor& norm_weight) {
  const auto type = x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  Tensor y = x.to(type);
  if (norm_weight.defined()) {
    Tensor weight = norm_weight.to(type);
    weight = options.row_group.defined()
                 ? weight.index_select(0, options.row_group.to(at::kLong)).unsqueeze(1)
                 : weight.unsqueeze(0);
    y = y * (y.square().mean(-1, true) + options.norm_epsilon).rsqrt() * weight;
  }
  if (options.cosine.defined()) {
    const Tensor c = options.cosine.to(type).unsqueeze(1), s = options.sine.to(type).unsqueeze(1);
    if (options.interleaved) {
      const Tensor a = y.slice(2, 0, std::nullopt, 2), b = y.slice(2, 1, std::nullopt, 2);
      y = at::stack({a * c - b * s, a * s + b * c}, -1).flatten(2);
    } else {
      const auto halves = y.chunk(2, -1);
      y = at::concat({halves[0] * c - halves[1] * s, halves[0] * s + halves[1] * c}, -1);
    }
  }
  return y.to(x.scalar_type());
}

Tensor rotary_attention(const Tensor& qkv, const RotaryAttention& options, const AttentionSpans& spans,
                        AttentionPath path) {
  const RotaryAttention& o = options;
  ensure(qkv.dim() == 2 && qkv.size(1) == (o.heads + 2 * o.key_value_heads) * o.head_size,
         "attention: qkv has the wrong width");
  ensure(qkv.size(0) == spans.rows(), "attention: spans of ", spans.rows(), " rows for ", qkv.size(0));
  const ProjectedHeads rows = projected_heads(qkv, o);
  const AttentionPath chosen = choose_attention_path(rows.query, rows.key, rows.value, spans, path);
  if (chosen == AttentionPath::kernel && qkv.device().is_cpu())
    return cpu_rotary_attention(qkv, o, work_of(spans));
  if (takes_fused_kernel(qkv, o.rotation_path, "rotation")) {
    const ProjectedHeads turned = cuda_norm_and_rotate(qkv, o);
    return packed_attention(turned.query, turned.key, turned.value, spans, chosen).flatten(1);
  }
  const Tensor query = norm_and_rotate(rows.query, o, o.query_norm);
  const Tensor key = norm_and_rotate(rows.key, o, o.key_norm);
  return packed_attention(query, key, rows.value, spans, chosen).flatten(1);
}

Tensor rotary_attention(const Tensor& qkv, const RotaryAttention& options,
                        std::span<const std::int64_t> document_starts) {
  return rotary_attention(qkv, options, AttentionSpans::causal(document_starts));
}

}  // namespace omni::kernels
