#include "cpu_packed_attention.h"

#include <ATen/Parallel.h>
#include <ATen/record_function.h>
#include <torch/csrc/autograd/custom_function.h>

#include <atomic>

#include "../projected_heads.h"
#include "packed_attention_kernels.h"

namespace omni::kernels {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

const float* floats(const Tensor& tensor) {
  return tensor.defined() ? tensor.const_data_ptr<float>() : nullptr;
}

// Everything of a call but the tensors that carry gradients. The backward pass takes it from the forward
// pass.
struct Call : torch::CustomClassHolder {
  RotaryAttention options;
  AttentionWork work;
};
using CallPointer = c10::intrusive_ptr<Call>;

CallPointer make_call(const RotaryAttention& options, AttentionWork work) {
  auto call = c10::make_intrusive<Call>();
  call->options = options;
  call->work = std::move(work);
  return call;
}

const Call& saved_call(AutogradContext* context) {
  return static_cast<const Call&>(*context->saved_data["call"].toCapsule());
}

AttentionInputs inputs_of(const Call& call, const Tensor& query, const Tensor& key, const Tensor& value,
                          const Tensor& query_norm, const Tensor& key_norm) {
  AttentionInputs in;
  in.bf16 = query.scalar_type() == at::kBFloat16;
  in.query = query.const_data_ptr();
  in.key = key.const_data_ptr();
  in.value = value.const_data_ptr();
  in.query_stride = query.stride(0);
  in.key_stride = key.stride(0);
  in.value_stride = value.stride(0);
  in.heads = call.options.heads;
  in.key_value_heads = call.options.key_value_heads;
  in.head_size = call.options.head_size;
  in.key_first = call.work.key_first.data();
  in.key_last = call.work.key_last.data();
  in.schedule = &call.work.schedule;
  in.cosine = floats(call.options.cosine);
  in.sine = floats(call.options.sine);
  in.interleaved = call.options.interleaved;
  in.query_norm = floats(query_norm);
  in.key_norm = floats(key_norm);
  in.row_group =
      call.options.row_group.defined() ? call.options.row_group.const_data_ptr<std::uint8_t>() : nullptr;
  in.groups = query_norm.defined() ? query_norm.size(0) : 1;
  in.norm_epsilon = static_cast<float>(call.options.norm_epsilon);
  return in;
}

// Every thread takes tasks until none is left.
template <class Kernel, class Results>
void run_tasks(Kernel kernel, const AttentionInputs& in, const Results& results, std::int64_t tasks) {
  std::atomic<std::int64_t> next_task = 0;
  const std::int64_t workers = std::min<std::int64_t>(at::get_num_threads(), tasks);
  at::parallel_for(0, workers, 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t worker = first; worker < last; ++worker) kernel(in, results, next_task);
  });
}

struct Forwarded {
  Tensor output, log_sum;
};

Forwarded run_forward(const AttentionInputs& in, std::int64_t rows, at::ScalarType type) {
  RECORD_FUNCTION("omni::attention", std::vector<c10::IValue>());
  Forwarded out;
  out.output = at::empty({rows, in.heads * in.head_size}, type);
  out.log_sum = at::empty({rows, in.heads}, at::kFloat);
  const AttentionOutputs outputs{out.output.mutable_data_ptr(), out.log_sum.mutable_data_ptr<float>()};
  run_tasks(attention_kernels(in.bf16).forward, in, outputs, in.task_count());
  return out;
}

// What the backward pass reads of the forward one, and where it writes.
AttentionGradients gradients_of(const Forwarded& forward, const Tensor& incoming, const Tensor& query,
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

struct NormGradients {
  Tensor query, key;
};

NormGradients run_backward(const AttentionInputs& in, AttentionGradients gradients) {
  RECORD_FUNCTION("omni::attention_backward", std::vector<c10::IValue>());
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

class RotaryAttentionFunction : public torch::autograd::Function<RotaryAttentionFunction> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& qkv,
                        const std::optional<Tensor>& given_query_norm,
                        const std::optional<Tensor>& given_key_norm, const CallPointer& call) {
    const Tensor query_norm = given_query_norm.value_or(Tensor()),
                 key_norm = given_key_norm.value_or(Tensor());
    const ProjectedHeads rows = projected_heads(qkv, call->options);
    const AttentionInputs in = inputs_of(*call, rows.query, rows.key, rows.value, query_norm, key_norm);
    const Forwarded out = run_forward(in, qkv.size(0), qkv.scalar_type());
    context->save_for_backward({qkv, query_norm, key_norm, out.output, out.log_sum});
    context->saved_data["call"] = c10::IValue::make_capsule(call);
    return out.output;
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const Call& call = saved_call(context);
    const ProjectedHeads rows = projected_heads(saved[0], call.options);
    const Tensor incoming = gradients[0].contiguous();
    const AttentionInputs in = inputs_of(call, rows.query, rows.key, rows.value, saved[1], saved[2]);
    Tensor result = at::empty_like(saved[0]);
    const ProjectedHeads out = projected_heads(result, call.options);
    const NormGradients norms =
        run_backward(in, gradients_of({saved[3], saved[4]}, incoming, out.query, out.key, out.value));
    return {result, norms.query, norms.key, Tensor()};
  }
};

class PackedAttentionFunction : public torch::autograd::Function<PackedAttentionFunction> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& query, const Tensor& key, const Tensor& value,
                        const CallPointer& call) {
    const AttentionInputs in = inputs_of(*call, query, key, value, {}, {});
    const Forwarded out = run_forward(in, query.size(0), query.scalar_type());
    context->save_for_backward({query, key, value, out.output, out.log_sum});
    context->saved_data["call"] = c10::IValue::make_capsule(call);
    return out.output.view(query.sizes());
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const Call& call = saved_call(context);
    const Tensor incoming = gradients[0].contiguous();
    const AttentionInputs in = inputs_of(call, saved[0], saved[1], saved[2], {}, {});
    Tensor query = at::empty(saved[0].sizes(), saved[0].options()),
           key = at::empty(saved[1].sizes(), saved[1].options());
    Tensor value = at::empty(saved[2].sizes(), saved[2].options());
    run_backward(in, gradients_of({saved[3], saved[4]}, incoming, query, key, value));
    return {query, key, value, Tensor()};
  }
};

Tensor heads_contiguous(const Tensor& x) {
  return x.stride(2) == 1 && x.stride(1) == x.size(2) ? x : x.contiguous();
}

std::optional<Tensor> if_defined(const Tensor& tensor) {
  return tensor.defined() ? std::optional<Tensor>(tensor) : std::nullopt;
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

Tensor cpu_attention(const Tensor& query, const Tensor& key, const Tensor& value, AttentionWork work) {
  RotaryAttention options;
  options.heads = query.size(1);
  options.key_value_heads = key.size(1);
  options.head_size = query.size(2);
  return PackedAttentionFunction::apply(heads_contiguous(query), heads_contiguous(key),
                                        heads_contiguous(value), make_call(options, std::move(work)));
}

Tensor cpu_rotary_attention(const Tensor& qkv, const RotaryAttention& options, AttentionWork work) {
  return RotaryAttentionFunction::apply(qkv.contiguous(), if_defined(options.query_norm),
                                        if_defined(options.key_norm), make_call(options, std::move(work)));
}

}  // namespace omni::kernels
