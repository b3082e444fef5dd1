#include "omni/kernels/packed_attention.h"

#include <ATen/Parallel.h>
#include <ATen/record_function.h>
#include <torch/csrc/autograd/custom_function.h>

#include "attention_rows.h"
#include "omni/core/error.h"
#include "omni/kernels/rotary_attention.h"

namespace omni::kernels {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

const float* floats(const Tensor& tensor) {
  return tensor.defined() ? tensor.const_data_ptr<float>() : nullptr;
}

// Everything of a call but the tensors that carry gradients.
struct Plan {
  RotaryAttention options;
  std::vector<std::int64_t> document_starts;
};

void save_plan(AutogradContext* context, const Plan& plan) {
  const RotaryAttention& o = plan.options;
  context->saved_data["sizes"] =
      std::vector<std::int64_t>{o.heads, o.key_value_heads, o.head_size, o.interleaved ? 1 : 0};
  context->saved_data["epsilon"] = o.norm_epsilon;
  context->saved_data["starts"] = plan.document_starts;
  context->saved_data["cosine"] = o.cosine;
  context->saved_data["sine"] = o.sine;
  context->saved_data["row_group"] = o.row_group;
}

Plan saved_plan(AutogradContext* context) {
  Plan plan;
  const auto sizes = context->saved_data["sizes"].toIntVector();
  plan.options.heads = sizes[0];
  plan.options.key_value_heads = sizes[1];
  plan.options.head_size = sizes[2];
  plan.options.interleaved = sizes[3] != 0;
  plan.options.norm_epsilon = context->saved_data["epsilon"].toDouble();
  plan.document_starts = context->saved_data["starts"].toIntVector();
  plan.options.cosine = context->saved_data["cosine"].toTensor();
  plan.options.sine = context->saved_data["sine"].toTensor();
  plan.options.row_group = context->saved_data["row_group"].toTensor();
  return plan;
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
  in.document_starts = plan.document_starts;
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

// Runs body(first, last) over ranges of tasks, one range per thread and all of about the same work: documents
// differ in length.
template <class Body>
void for_tasks(const AttentionInputs& in, const Body& body) {
  const auto work_of = [&](std::int64_t task) {
    const std::int64_t document = task / in.key_value_heads;
    const std::int64_t rows = in.document_starts[document + 1] - in.document_starts[document];
    return rows * (rows + 64);  // scores grow with the square, reading and rotating rows does not
  };
  std::int64_t total = 0, done = 0;
  for (std::int64_t task = 0; task < in.task_count(); ++task) total += work_of(task);
  const std::int64_t threads = at::get_num_threads();
  std::vector<std::int64_t> bounds = {0};
  for (std::int64_t task = 0; task < in.task_count(); ++task) {
    done += work_of(task);
    const auto ranges = static_cast<std::int64_t>(bounds.size());
    if (done * threads >= total * ranges && ranges < threads) bounds.push_back(task + 1);
  }
  bounds.push_back(in.task_count());
  at::parallel_for(0, static_cast<std::int64_t>(bounds.size()) - 1, 1,
                   [&](std::int64_t first, std::int64_t last) { body(bounds[first], bounds[last]); });
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
  for_tasks(in, [&](std::int64_t first, std::int64_t last) {
    attention_forward_kernel()(in, outputs, first, last);
  });
  return out;
}

struct NormGradients {
  Tensor query, key;
};

NormGradients run_backward(const AttentionInputs& in, AttentionGradients gradients) {
  RECORD_FUNCTION("omni::attention_backward", std::vector<c10::IValue>());
  Tensor query, key;
  if (in.query_norm) {
    query = at::zeros({in.task_count(), in.groups, in.head_size}, at::kFloat);
    key = at::zeros_like(query);
    gradients.query_norm = query.mutable_data_ptr<float>();
    gradients.key_norm = key.mutable_data_ptr<float>();
  }
  for_tasks(in, [&](std::int64_t first, std::int64_t last) {
    attention_backward_kernel()(in, gradients, first, last);
  });
  return {query.defined() ? query.sum(0) : query, key.defined() ? key.sum(0) : key};
}

// Views of one projected tensor: queries, keys, values.
struct Split {
  Tensor query, key, value;
};
Split split(const Tensor& qkv, const RotaryAttention& o) {
  const std::int64_t q = o.heads * o.head_size, kv = o.key_value_heads * o.head_size;
  return {qkv.narrow(1, 0, q), qkv.narrow(1, q, kv), qkv.narrow(1, q + kv, kv)};
}

class RotaryAttentionFunction : public torch::autograd::Function<RotaryAttentionFunction> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& qkv,
                        const std::optional<Tensor>& given_query_norm,
                        const std::optional<Tensor>& given_key_norm, const Plan& plan) {
    const Tensor query_norm = given_query_norm.value_or(Tensor()),
                 key_norm = given_key_norm.value_or(Tensor());
    const Split rows = split(qkv, plan.options);
    const AttentionInputs in = inputs_of(plan, rows.query, rows.key, rows.value, query_norm, key_norm);
    const Forwarded out = run_forward(in, qkv.size(0), qkv.scalar_type());
    context->save_for_backward({qkv, query_norm, key_norm, out.output, out.log_sum});
    save_plan(context, plan);
    return out.output;
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const Plan plan = saved_plan(context);
    const Split rows = split(saved[0], plan.options);
    const Tensor incoming = gradients[0].contiguous();
    const AttentionInputs in = inputs_of(plan, rows.query, rows.key, rows.value, saved[1], saved[2]);
    Tensor result = at::empty_like(saved[0]);
    const Split out = split(result, plan.options);
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
                        const Plan& plan) {
    const AttentionInputs in = inputs_of(plan, query, key, value, {}, {});
    const Forwarded out = run_forward(in, query.size(0), query.scalar_type());
    context->save_for_backward({query, key, value, out.output, out.log_sum});
    save_plan(context, plan);
    return out.output.view(query.sizes());
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const Plan plan = saved_plan(context);
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

constexpr std::int64_t kLargestHead = 512;  // the kernel's row buffer

bool has_kernel(const Tensor& tensor, std::int64_t head_size) {
  return tensor.device().is_cpu() && head_size % 16 == 0 && head_size <= kLargestHead &&
         (tensor.scalar_type() == at::kFloat || tensor.scalar_type() == at::kBFloat16);
}

void check_documents(std::span<const std::int64_t> starts, std::int64_t rows) {
  ensure(!starts.empty() && starts.front() == 0 && starts.back() == rows,
         "attention: documents do not cover the rows");
  for (std::size_t i = 1; i < starts.size(); ++i)
    ensure(starts[i - 1] <= starts[i], "attention: documents overlap");
}

Tensor heads_contiguous(const Tensor& x) {
  return x.stride(2) == 1 && x.stride(1) == x.size(2) ? x : x.contiguous();
}

}  // namespace

Tensor packed_attention_reference(const Tensor& query, const Tensor& key, const Tensor& value,
                                  std::span<const std::int64_t> document_starts) {
  check_documents(document_starts, query.size(0));
  const std::int64_t group = query.size(1) / key.size(1);
  const double scale = 1.0 / std::sqrt(static_cast<double>(query.size(2)));
  std::vector<Tensor> parts;
  for (std::size_t d = 0; d + 1 < document_starts.size(); ++d) {
    const std::int64_t first = document_starts[d], length = document_starts[d + 1] - first;
    if (length == 0) continue;
    const auto type = query.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
    const auto heads = [&](const Tensor& x, std::int64_t repeat) {
      return x.narrow(0, first, length).to(type).transpose(0, 1).repeat_interleave(repeat, 0);
    };
    const Tensor scores = at::matmul(heads(query, 1), heads(key, group).transpose(1, 2)) * scale;
    const Tensor later = at::ones({length, length}, query.options().dtype(at::kBool)).triu(1);
    const Tensor weights = scores.masked_fill(later, -std::numeric_limits<double>::infinity()).softmax(-1);
    parts.push_back(at::matmul(weights, heads(value, group)).transpose(0, 1).to(query.scalar_type()));
  }
  return parts.empty() ? at::zeros_like(query) : at::cat(parts, 0);
}

Tensor packed_attention(const Tensor& query, const Tensor& key, const Tensor& value,
                        std::span<const std::int64_t> document_starts) {
  ensure(query.dim() == 3 && key.sizes() == value.sizes() && query.size(1) % key.size(1) == 0,
         "attention: shapes do not match");
  if (!has_kernel(query, query.size(2)))
    return packed_attention_reference(query, key, value, document_starts);
  check_documents(document_starts, query.size(0));
  Plan plan;
  plan.options.heads = query.size(1);
  plan.options.key_value_heads = key.size(1);
  plan.options.head_size = query.size(2);
  plan.document_starts.assign(document_starts.begin(), document_starts.end());
  return PackedAttentionFunction::apply(heads_contiguous(query), heads_contiguous(key),
                                        heads_contiguous(value), plan);
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

Tensor rotary_attention(const Tensor& qkv, const RotaryAttention& options,
                        std::span<const std::int64_t> document_starts) {
  const RotaryAttention& o = options;
  ensure(qkv.dim() == 2 && qkv.size(1) == (o.heads + 2 * o.key_value_heads) * o.head_size,
         "attention: qkv has the wrong width");
  if (has_kernel(qkv, o.head_size)) {
    check_documents(document_starts, qkv.size(0));
    const Plan plan{options, {document_starts.begin(), document_starts.end()}};
    return RotaryAttentionFunction::apply(
        qkv.contiguous(), o.query_norm.defined() ? std::optional<Tensor>(o.query_norm) : std::nullopt,
        o.key_norm.defined() ? std::optional<Tensor>(o.key_norm) : std::nullopt, plan);
  }
  const Split rows = split(qkv, o);
  const auto heads = [&](const Tensor& x, std::int64_t count) {
    return x.view({qkv.size(0), count, o.head_size});
  };
  const Tensor query = norm_and_rotate(heads(rows.query, o.heads), o, o.query_norm);
  const Tensor key = norm_and_rotate(heads(rows.key, o.key_value_heads), o, o.key_norm);
  return packed_attention(query, key, heads(rows.value, o.key_value_heads), document_starts).flatten(1);
}

}  // namespace omni::kernels
