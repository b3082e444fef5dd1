#include "omni/kernels/packed_attention.h"

#include <ATen/Parallel.h>
#include <ATen/record_function.h>
#include <torch/csrc/autograd/custom_function.h>

#include <atomic>

#include "attention_paths.h"
#include "attention_rows.h"
#include "omni/core/error.h"
#include "omni/kernels/rotary_attention.h"
#include "packed_attention_cuda.h"
#include "projected_heads.h"

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
struct Plan : torch::CustomClassHolder {
  RotaryAttention options;
  AttentionSpans spans;
  AttentionSchedule schedule;
};
using PlanPointer = c10::intrusive_ptr<Plan>;

PlanPointer make_plan(const RotaryAttention& options, const AttentionSpans& spans) {
  auto plan = c10::make_intrusive<Plan>();
  plan->options = options;
  plan->spans = spans;
  plan->schedule = attention_schedule(spans);
  return plan;
}

const Plan& saved_plan(AutogradContext* context) {
  return static_cast<const Plan&>(*context->saved_data["plan"].toCapsule());
}

AttentionInputs inputs_of(const Plan& plan, const Tensor& query, const Tensor& key, const Tensor& value,
                          const Tensor& query_norm, const Tensor& key_norm) {
  AttentionInputs in;
  in.bf16 = query.scalar_type() == at::kBFloat16;
  in.query = query.const_data_ptr();
  in.key = key.const_data_ptr();
  in.value = value.const_data_ptr();
  in.query_stride = query.stride(0);
  in.key_stride = key.stride(0);
  in.value_stride = value.stride(0);
  in.heads = plan.options.heads;
  in.key_value_heads = plan.options.key_value_heads;
  in.head_size = plan.options.head_size;
  in.key_first = plan.spans.key_first().data();
  in.key_last = plan.spans.key_last().data();
  in.schedule = &plan.schedule;
  in.cosine = floats(plan.options.cosine);
  in.sine = floats(plan.options.sine);
  in.interleaved = plan.options.interleaved;
  in.query_norm = floats(query_norm);
  in.key_norm = floats(key_norm);
  in.row_group =
      plan.options.row_group.defined() ? plan.options.row_group.const_data_ptr<std::uint8_t>() : nullptr;
  in.groups = query_norm.defined() ? query_norm.size(0) : 1;
  in.norm_epsilon = static_cast<float>(plan.options.norm_epsilon);
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
                        const std::optional<Tensor>& given_key_norm, const PlanPointer& plan) {
    const Tensor query_norm = given_query_norm.value_or(Tensor()),
                 key_norm = given_key_norm.value_or(Tensor());
    const ProjectedHeads rows = projected_heads(qkv, plan->options);
    const AttentionInputs in = inputs_of(*plan, rows.query, rows.key, rows.value, query_norm, key_norm);
    const Forwarded out = run_forward(in, qkv.size(0), qkv.scalar_type());
    context->save_for_backward({qkv, query_norm, key_norm, out.output, out.log_sum});
    context->saved_data["plan"] = c10::IValue::make_capsule(plan);
    return out.output;
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const Plan& plan = saved_plan(context);
    const ProjectedHeads rows = projected_heads(saved[0], plan.options);
    const Tensor incoming = gradients[0].contiguous();
    const AttentionInputs in = inputs_of(plan, rows.query, rows.key, rows.value, saved[1], saved[2]);
    Tensor result = at::empty_like(saved[0]);
    const ProjectedHeads out = projected_heads(result, plan.options);
    AttentionGradients arguments;
    arguments.output = saved[3].const_data_ptr();
    arguments.output_gradient = incoming.const_data_ptr();
    arguments.log_sum = saved[4].const_data_ptr<float>();
    arguments.query = out.query.mutable_data_ptr();
    arguments.key = out.key.mutable_data_ptr();
    arguments.value = out.value.mutable_data_ptr();
    arguments.query_stride = arguments.key_stride = arguments.value_stride = result.stride(0);
    const NormGradients norms = run_backward(in, arguments);
    return {result, norms.query, norms.key, Tensor()};
  }
};

class PackedAttentionFunction : public torch::autograd::Function<PackedAttentionFunction> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& query, const Tensor& key, const Tensor& value,
                        const PlanPointer& plan) {
    const AttentionInputs in = inputs_of(*plan, query, key, value, {}, {});
    const Forwarded out = run_forward(in, query.size(0), query.scalar_type());
    context->save_for_backward({query, key, value, out.output, out.log_sum});
    context->saved_data["plan"] = c10::IValue::make_capsule(plan);
    return out.output.view(query.sizes());
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const Plan& plan = saved_plan(context);
    const Tensor incoming = gradients[0].contiguous();
    const AttentionInputs in = inputs_of(plan, saved[0], saved[1], saved[2], {}, {});
    Tensor query = at::empty(saved[0].sizes(), saved[0].options()),
           key = at::empty(saved[1].sizes(), saved[1].options());
    Tensor value = at::empty(saved[2].sizes(), saved[2].options());
    AttentionGradients arguments;
    arguments.output = saved[3].const_data_ptr();
    arguments.output_gradient = incoming.const_data_ptr();
    arguments.log_sum = saved[4].const_data_ptr<float>();
    arguments.query = query.mutable_data_ptr();
    arguments.key = key.mutable_data_ptr();
    arguments.value = value.mutable_data_ptr();
    arguments.query_stride = query.stride(0);
    arguments.key_stride = key.stride(0);
    arguments.value_stride = value.stride(0);
    run_backward(in, arguments);
    return {query, key, value, Tensor()};
  }
};

Tensor heads_contiguous(const Tensor& x) {
  return x.stride(2) == 1 && x.stride(1) == x.size(2) ? x : x.contiguous();
}

}  // namespace

Tensor packed_attention(const Tensor& query, const Tensor& key, const Tensor& value,
                        const AttentionSpans& spans, AttentionPath path) {
  ensure(query.dim() == 3 && key.dim() == 3 && key.sizes() == value.sizes() && key.size(1) > 0 &&
             query.size(1) % key.size(1) == 0 && query.size(2) == key.size(2),
         "attention: queries ", query.sizes(), ", keys ", key.sizes(), " and values ", value.sizes(),
         " do not fit together");
  ensure(query.size(0) == spans.rows() && key.size(0) == spans.rows(), "attention: spans of ", spans.rows(),
         " rows for ", query.size(0), " queries and ", key.size(0), " keys");
  for (const Tensor* x : {&key, &value})
    ensure(x->scalar_type() == query.scalar_type() && x->device() == query.device(),
           "attention: queries, keys and values differ in type or device");
  switch (choose_attention_path(query, key, value, spans, path)) {
    case AttentionPath::library:
      return library_attention(query, key, value, spans);
    case AttentionPath::reference:
      return reference_attention(query, key, value, spans);
    default:
      break;
  }
  if (!query.device().is_cpu()) return cuda_packed_attention(query, key, value, spans);
  RotaryAttention options;
  options.heads = query.size(1);
  options.key_value_heads = key.size(1);
  options.head_size = query.size(2);
  return PackedAttentionFunction::apply(heads_contiguous(query), heads_contiguous(key),
                                        heads_contiguous(value), make_plan(options, spans));
}

Tensor packed_attention(const Tensor& query, const Tensor& key, const Tensor& value,
                        std::span<const std::int64_t> document_starts) {
  return packed_attention(query, key, value, AttentionSpans::causal(document_starts));
}

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
      y = at::cat({halves[0] * c - halves[1] * s, halves[0] * s + halves[1] * c}, -1);
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
    return RotaryAttentionFunction::apply(
        qkv.contiguous(), o.query_norm.defined() ? std::optional<Tensor>(o.query_norm) : std::nullopt,
        o.key_norm.defined() ? std::optional<Tensor>(o.key_norm) : std::nullopt, make_plan(o, spans));
  const Tensor query = norm_and_rotate(rows.query, o, o.query_norm);
  const Tensor key = norm_and_rotate(rows.key, o, o.key_norm);
  return packed_attention(query, key, rows.value, spans, chosen).flatten(1);
}

Tensor rotary_attention(const Tensor& qkv, const RotaryAttention& options,
                        std::span<const std::int64_t> document_starts) {
  return rotary_attention(qkv, options, AttentionSpans::causal(document_starts));
}

}  // namespace omni::kernels
