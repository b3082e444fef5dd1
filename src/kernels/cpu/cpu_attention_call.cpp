#include "cpu_attention_call.h"

#include <ATen/Parallel.h>

#include <atomic>

#include "../floats_or_null.h"
#include "omni/kernels/profiled_range.h"

namespace omni::kernels {
namespace {

using at::Tensor;

// Every thread takes tasks until none is left.
template <class Kernel, class Results>
void run_tasks(Kernel kernel, const AttentionInputs& in, const Results& results, std::int64_t tasks) {
  std::atomic<std::int64_t> next_task = 0;
  const std::int64_t workers = std::min<std::int64_t>(at::get_num_threads(), tasks);
  at::parallel_for(0, workers, 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t worker = first; worker < last; ++worker) kernel(in, results, next_task);
  });
}

}  // namespace

AttentionWork work_of(const AttentionSpans& spans) {
  return {{spans.key_first().begin(), spans.key_first().end()},
          {spans.key_last().begin(), spans.key_last().end()},
          attention_schedule(spans)};
}

AttentionWork work_of_sets(std::int64_t sets, std::int64_t rows, std::int64_t keys) {
  AttentionWork work;
  for (std::int64_t s = 0; s < sets; ++s) {
    work.key_first.insert(work.key_first.end(), rows, static_cast<std::int32_t>(s * keys));
    work.key_last.insert(work.key_last.end(), rows, static_cast<std::int32_t>((s + 1) * keys));
  }
  work.schedule = attention_schedule_of_sets(sets, rows, keys);
  return work;
}

AttentionInputs inputs_of(const RotaryAttention& options, const Tensor& query, const Tensor& key,
                          const Tensor& value, const Tensor& query_norm, const Tensor& key_norm) {
  AttentionInputs in;
  in.bf16 = query.scalar_type() == at::kBFloat16;
  in.query = query.const_data_ptr();
  in.key = key.const_data_ptr();
  in.value = value.const_data_ptr();
  in.query_stride = query.stride(0);
  in.key_stride = key.stride(0);
  in.value_stride = value.stride(0);
  in.heads = options.heads;
  in.key_value_heads = options.key_value_heads;
  in.head_size = options.head_size;
  in.cosine = floats_or_null(options.cosine);
  in.sine = floats_or_null(options.sine);
  in.interleaved = options.interleaved;
  in.query_norm = floats_or_null(query_norm);
  in.key_norm = floats_or_null(key_norm);
  in.row_group = options.row_group.defined() ? options.row_group.const_data_ptr<std::uint8_t>() : nullptr;
  in.groups = query_norm.defined() ? query_norm.size(0) : 1;
  in.norm_epsilon = static_cast<float>(options.norm_epsilon);
  return in;
}

AttentionInputs inputs_of(const AttentionCall& call, const Tensor& query, const Tensor& key,
                          const Tensor& value, const Tensor& query_norm, const Tensor& key_norm) {
  AttentionInputs in = inputs_of(call.options, query, key, value, query_norm, key_norm);
  in.key_first = call.work.key_first.data();
  in.key_last = call.work.key_last.data();
  in.schedule = &call.work.schedule;
  return in;
}

AttentionForward run_attention(const AttentionInputs& in, std::int64_t rows, at::ScalarType type) {
  const ProfiledRange profiled("omni::attention");
  AttentionForward out;
  out.output = at::empty({rows, in.heads * in.head_size}, type);
  out.log_sum = at::empty({rows, in.heads}, at::kFloat);
  const AttentionOutputs outputs{out.output.mutable_data_ptr(), out.log_sum.mutable_data_ptr<float>()};
  run_tasks(attention_kernels(in.bf16).forward, in, outputs, in.task_count());
  return out;
}

AttentionGradients gradients_of(const AttentionForward& forward, const Tensor& incoming, const Tensor& query,
                                const Tensor& key, const Tensor& value) {
  AttentionGradients gradients;
  gradients.output = forward.output.const_data_ptr();
  gradients.output_gradient = incoming.const_data_ptr();
  gradients.log_sum = forward.log_sum.const_data_ptr<float>();
  gradients.query = query.mutable_data_ptr();
  gradients.key = key.mutable_data_ptr();
  gradients.value = value.mutable_data_ptr();
  gradients.query_stride = query.stride(0);
  gradients.key_stride = key.stride(0);
  gradients.value_stride = value.stride(0);
  return gradients;
}

NormGradients run_attention_backward(const AttentionInputs& in, AttentionGradients gradients) {
  const ProfiledRange profiled("omni::attention_backward");
  Tensor query, key;
  if (in.query_norm) {
    query = at::zeros({in.task_count() + in.shared_task_count(), in.groups, in.head_size}, at::kFloat);
    key = at::zeros_like(query);
    gradients.query_norm = query.mutable_data_ptr<float>();
    gradients.key_norm = key.mutable_data_ptr<float>();
  }
  Tensor partial;
  if (in.shared_task_count() > 0) {
    partial = at::empty({2, in.key_value_heads, in.schedule->partial_rows, in.head_size}, at::kFloat);
    gradients.key_partial = partial[0].mutable_data_ptr<float>();
    gradients.value_partial = partial[1].mutable_data_ptr<float>();
  }
  const AttentionKernels kernels = attention_kernels(in.bf16);
  run_tasks(kernels.backward, in, gradients, in.task_count());
  run_tasks(kernels.backward_shared, in, gradients, in.shared_task_count());
  return {query.defined() ? query.sum(0) : query, key.defined() ? key.sum(0) : key};
}

}  // namespace omni::kernels
