#pragma once

#include <cstdint>
#include <vector>

#include "omni/kernels/attention_spans.h"
#include "omni/kernels/rotary_attention.h"
#include "packed_attention_schedule.h"

namespace omni::kernels {

// What the processor's attention does with its rows: row i sees keys key_first[i] <= j < key_last[i], neither
// ever decreasing.
struct AttentionWork {
  std::vector<std::int32_t> key_first, key_last;
  AttentionSchedule schedule;
};
AttentionWork work_of(const AttentionSpans& spans);
// `sets` sets of `rows` rows, each of which sees all `keys` keys of its own set.
AttentionWork work_of_sets(std::int64_t sets, std::int64_t rows, std::int64_t keys);

// The kernels, for fp32 and bf16 tensors on the CPU whose head sizes they take (attention_path.h).
//   query [N, heads, head_dim], key and value [M, key_value_heads, head_dim] -> [N, heads, head_dim]
// N and M are the work's rows and keys. Differentiable in all three.
at::Tensor cpu_attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                         AttentionWork work);
// rotary_attention() with norm and rotation in the kernels.
at::Tensor cpu_rotary_attention(const at::Tensor& qkv, const RotaryAttention& options, AttentionWork work);

}  // namespace omni::kernels
