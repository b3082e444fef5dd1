#pragma once

#include <cstdint>
#include <vector>

#include "omni/kernels/attention_spans.h"
#include "omni/kernels/rotary_attention.h"
#include "omni/kernels/tensor.h"
#include "packed_attention_kernels.h"
#include "packed_attention_schedule.h"

// What packed and rotary attention on the CPU share: from tensors to the kernels.
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

// Everything of a call but the tensors that carry gradients. The backward pass takes it from the forward
// pass.
struct AttentionCall {
  RotaryAttention options;
  AttentionWork work;
};

// Rows with the options' rotation and norms, which may be undefined; which keys they see is left open, or points into
// the call.
AttentionInputs inputs_of(const RotaryAttention& options, const at::Tensor& query, const at::Tensor& key,
                          const at::Tensor& value, const at::Tensor& query_norm, const at::Tensor& key_norm);
AttentionInputs inputs_of(const AttentionCall& call, const at::Tensor& query, const at::Tensor& key,
                          const at::Tensor& value, const at::Tensor& query_norm, const at::Tensor& key_norm);

struct AttentionForward {
  at::Tensor output, log_sum;  // [rows, heads * head_size], [rows, heads]
};
AttentionForward run_attention(const AttentionInputs& in, std::int64_t rows, at::ScalarType type);

// What the backward pass reads of the forward one, and where it writes.
AttentionGradients gradients_of(const AttentionForward& forward, const at::Tensor& incoming,
                                const at::Tensor& query, const at::Tensor& key, const at::Tensor& value);

struct NormGradients {
  at::Tensor query, key;  // [groups, head_size]; undefined without norms
};
NormGradients run_attention_backward(const AttentionInputs& in, AttentionGradients gradients);

}  // namespace omni::kernels
