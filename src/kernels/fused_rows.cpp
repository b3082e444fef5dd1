#include "omni/kernels/fused_rows.h"

#include <ATen/Parallel.h>
#include <ATen/record_function.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <torch/csrc/autograd/custom_function.h>

#include "cpu/row_kernels.h"
#include "cuda/plugin_functions.h"
#include "omni/core/error.h"

namespace omni::kernels {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr std::int64_t kChunkRows = 128;

// Custom functions take undefined tensors only as empty optionals.
std::optional<Tensor> maybe(const Tensor& tensor) {
  return tensor.defined() ? std::optional<Tensor>(tensor) : std::nullopt;
}

template <class Body>
void for_chunks(std::int64_t rows, const Body& body) {
  const std::int64_t chunks = (rows + kChunkRows - 1) / kChunkRows;
  at::parallel_for(0, chunks, 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t chunk = first; chunk < last; ++chunk)
      body(chunk, chunk * kChunkRows, std::min(rows, (chunk + 1) * kChunkRows));
  });
}

bool has_kernel(const Tensor& tensor) {
  return tensor.device().is_cpu() &&
         (tensor.scalar_type() == at::kFloat || tensor.scalar_type() == at::kBFloat16);
}

NormRows norm_rows(std::int64_t width, const Tensor& weight, bool centred, double epsilon, bool bf16) {
  NormRows norm;
  norm.bf16 = bf16;
  norm.centred = centred;
  norm.epsilon = static_cast<float>(epsilon);
  norm.width = width;
  norm.weight = weight.defined() ? weight.const_data_ptr<float>() : nullptr;
  return norm;
}

variable_list norm_gradients(AutogradContext* context, const Tensor& output_gradient,
                             const Tensor& sum_gradient, bool with_delta) {
  RECORD_FUNCTION("omni::norm_backward", std::vector<c10::IValue>());
  const auto saved = context->get_saved_variables();
  const Tensor &sum = saved[0], &weight = saved[1];
  const bool bf16 = context->saved_data["bf16"].toBool();
  const auto type = bf16 ? at::kBFloat16 : at::kFloat;
  const std::int64_t rows = sum.size(0), width = sum.size(1);
  const NormRows norm = norm_rows(width, weight, context->saved_data["centred"].toBool(),
                                  context->saved_data["epsilon"].toDouble(), bf16);
  const Tensor incoming =
      output_gradient.defined() ? output_gradient.contiguous() : at::zeros_like(sum, type);
  const Tensor extra = sum_gradient.defined() ? sum_gradient.contiguous() : Tensor();
  const std::int64_t chunks = (rows + kChunkRows - 1) / kChunkRows;
  Tensor gradient = at::empty_like(sum);
  Tensor delta = with_delta && bf16 ? at::empty_like(sum, type) : Tensor();
  Tensor partial = weight.defined() ? at::zeros({chunks, width}, at::kFloat) : Tensor();
  NormBackward arguments;
  arguments.sum = sum.const_data_ptr<float>();
  arguments.output_gradient = incoming.const_data_ptr();
  arguments.sum_gradient = extra.defined() ? extra.const_data_ptr<float>() : nullptr;
  arguments.gradient = gradient.mutable_data_ptr<float>();
  arguments.delta_gradient = delta.defined() ? delta.mutable_data_ptr() : nullptr;
  for_chunks(rows, [&](std::int64_t chunk, std::int64_t first, std::int64_t last) {
    NormBackward own = arguments;
    if (partial.defined()) own.weight_gradient = partial.mutable_data_ptr<float>() + chunk * width;
    row_kernels().norm_backward(norm, own, first, last);
  });
  if (with_delta && !bf16) delta = gradient;
  return {gradient, delta, partial.defined() ? partial.sum(0) : Tensor()};
}

void save_norm(AutogradContext* context, const Tensor& sum, const Tensor& weight, bool centred,
               double epsilon, bool bf16) {
  context->save_for_backward({sum, weight});
  context->saved_data["centred"] = centred;
  context->saved_data["epsilon"] = epsilon;
  context->saved_data["bf16"] = bf16;
  context->set_materialize_grads(false);
}

class AddNormFunction : public torch::autograd::Function<AddNormFunction> {
 public:
  static variable_list forward(AutogradContext* context, const Tensor& residual, const Tensor& delta,
                               const std::optional<Tensor>& given_weight, bool centred, double epsilon,
                               bool bf16) {
    const Tensor weight = given_weight.value_or(Tensor());
    RECORD_FUNCTION("omni::norm", std::vector<c10::IValue>());
    Tensor sum = at::empty_like(residual);
    Tensor output = at::empty(residual.sizes(), residual.options().dtype(bf16 ? at::kBFloat16 : at::kFloat));
    const NormRows norm = norm_rows(residual.size(1), weight, centred, epsilon, bf16);
    const NormForward arguments{residual.const_data_ptr<float>(), delta.const_data_ptr(),
                                sum.mutable_data_ptr<float>(), output.mutable_data_ptr()};
    for_chunks(residual.size(0), [&](std::int64_t, std::int64_t first, std::int64_t last) {
      row_kernels().norm_forward(norm, arguments, first, last);
    });
    save_norm(context, sum, weight, centred, epsilon, bf16);
    return {sum, output};
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    variable_list result = norm_gradients(context, gradients[1], gradients[0], true);
    result.resize(6);
    return result;
  }
};

class NormFunction : public torch::autograd::Function<NormFunction> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& residual,
                        const std::optional<Tensor>& given_weight, bool centred, double epsilon, bool bf16) {
    const Tensor weight = given_weight.value_or(Tensor());
    Tensor output = at::empty(residual.sizes(), residual.options().dtype(bf16 ? at::kBFloat16 : at::kFloat));
    const NormRows norm = norm_rows(residual.size(1), weight, centred, epsilon, bf16);
    const NormForward arguments{residual.const_data_ptr<float>(), nullptr, nullptr,
                                output.mutable_data_ptr()};
    for_chunks(residual.size(0), [&](std::int64_t, std::int64_t first, std::int64_t last) {
      row_kernels().norm_forward(norm, arguments, first, last);
    });
    save_norm(context, residual, weight, centred, epsilon, bf16);
    return output;
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const variable_list result = norm_gradients(context, gradients[0], {}, false);
    return {result[0], result[2], Tensor(), Tensor(), Tensor()};
  }
};

Tensor plain_norm(const Tensor& x, const Tensor& weight, const NormOptions& options) {
  const std::int64_t width = x.size(-1);
  const Tensor y = options.kind == NormKind::layer ? at::layer_norm(x, {width}, weight, {}, options.epsilon)
                                                   : at::rms_norm(x, {width}, weight, options.epsilon);
  return y.to(options.output_type);
}

// On a GPU, where no gradient is wanted and the plug-in is there.
bool cuda_add_norm(const Tensor& residual, const Tensor& delta, const Tensor& weight,
                   const NormOptions& options, std::pair<Tensor, Tensor>& result) {
  const bool bf16 = options.output_type == at::kBFloat16;
  const bool usable =
      residual.is_cuda() && (bf16 || options.output_type == at::kFloat) && cuda_plugin().status.loaded;
  if (!usable || at::GradMode::is_enabled()) return false;
  const Tensor rows = residual.contiguous(), added = delta.defined() ? delta.contiguous() : Tensor();
  Tensor sum = added.defined() ? at::empty_like(rows) : rows;
  Tensor output = at::empty(rows.sizes(), rows.options().dtype(options.output_type));
  OmniCudaAddNorm arguments{};
  arguments.residual = rows.const_data_ptr<float>();
  arguments.delta = added.defined() ? added.const_data_ptr() : nullptr;
  arguments.weight = weight.defined() ? weight.const_data_ptr<float>() : nullptr;
  arguments.sum = added.defined() ? sum.mutable_data_ptr<float>() : nullptr;
  arguments.output = output.mutable_data_ptr();
  arguments.rows = rows.size(0);
  arguments.width = rows.size(1);
  arguments.epsilon = static_cast<float>(options.epsilon);
  arguments.centred = options.kind == NormKind::layer ? 1 : 0;
  arguments.type = bf16 ? kOmniCudaBfloat16 : kOmniCudaFloat;
  const c10::impl::VirtualGuardImpl guard(rows.device().type());
  const std::int32_t status =
      cuda_plugin().add_norm(&arguments, guard.getStreamNativeHandle(guard.getStream(rows.device())));
  ensure(status == 0, "the GPU norm kernel failed with CUDA error ", status);
  result = {sum, output};
  return true;
}

class SwigluFunction : public torch::autograd::Function<SwigluFunction> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& gate_up) {
    RECORD_FUNCTION("omni::swiglu", std::vector<c10::IValue>());
    const std::int64_t rows = gate_up.size(0), width = gate_up.size(1) / 2;
    const bool bf16 = gate_up.scalar_type() == at::kBFloat16;
    Tensor output = at::empty({rows, width}, gate_up.options());
    const void* source = gate_up.const_data_ptr();
    void* target = output.mutable_data_ptr();
    for_chunks(rows, [&](std::int64_t, std::int64_t first, std::int64_t last) {
      row_kernels().swiglu_forward(bf16, source, target, width, first, last);
    });
    context->save_for_backward({gate_up});
    return output;
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    RECORD_FUNCTION("omni::swiglu_backward", std::vector<c10::IValue>());
    const Tensor gate_up = context->get_saved_variables()[0];
    const Tensor incoming = gradients[0].contiguous();
    const bool bf16 = gate_up.scalar_type() == at::kBFloat16;
    Tensor result = at::empty_like(gate_up);
    const void *source = gate_up.const_data_ptr(), *gradient = incoming.const_data_ptr();
    void* target = result.mutable_data_ptr();
    for_chunks(gate_up.size(0), [&](std::int64_t, std::int64_t first, std::int64_t last) {
      row_kernels().swiglu_backward(bf16, source, gradient, target, gate_up.size(1) / 2, first, last);
    });
    return {result};
  }
};

// Logits held at a time, in bytes. Larger chunks gain nothing: the products are as fast, and the sum of the
// row gradients over chunks is already a twentieth of them.
constexpr std::int64_t kLogitBytes = 128 << 20;

// Rows of one chunk of logits: a multiple of kChunkRows, so that the matrix library meets few shapes.
std::int64_t logit_chunk(std::int64_t rows, std::int64_t classes, std::int64_t element_size) {
  const std::int64_t fitting = kLogitBytes / std::max<std::int64_t>(1, classes * element_size);
  return std::min(rows, std::max(kChunkRows, fitting / kChunkRows * kChunkRows));
}

// What the rows of logits are compared with, and where what is known of each row goes.
struct CrossEntropyPlaces {
  Tensor targets, weights, losses, log_sums, correct;
  double z_loss = 0;
};

// The same through tensor operations.
void differentiate_plainly(const Tensor& logits, const CrossEntropyPlaces& places, std::int64_t first) {
  const auto own = [&](const Tensor& all) { return all.narrow(0, first, logits.size(0)); };
  const Tensor wide = logits.to(at::kFloat), index = own(places.targets).to(at::kLong).unsqueeze(1);
  const Tensor log_sums = wide.logsumexp(1), weights = own(places.weights);
  own(places.log_sums).copy_(log_sums);
  own(places.losses).copy_(log_sums - wide.gather(1, index).squeeze(1));
  own(places.correct).copy_(wide.argmax(1) == index.squeeze(1));
  const Tensor gradient =
      (wide - log_sums.unsqueeze(1)).exp_().mul_((weights * (1 + 2 * places.z_loss * log_sums)).unsqueeze(1));
  logits.copy_(gradient.scatter_add_(1, index, weights.neg().unsqueeze(1)));
}

// Logits [n, classes] of the rows from `first` on -> their gradients, in place.
void differentiate_logits(const Tensor& logits, const CrossEntropyPlaces& places, std::int64_t first) {
  if (!has_kernel(logits)) return differentiate_plainly(logits, places, first);
  CrossEntropyRows rows;
  rows.bf16 = logits.scalar_type() == at::kBFloat16;
  rows.width = logits.size(1);
  rows.logits = logits.mutable_data_ptr();
  rows.targets = places.targets.const_data_ptr<std::int32_t>() + first;
  rows.weights = places.weights.const_data_ptr<float>() + first;
  rows.z_loss = static_cast<float>(places.z_loss);
  rows.losses = places.losses.mutable_data_ptr<float>() + first;
  rows.log_sums = places.log_sums.mutable_data_ptr<float>() + first;
  rows.correct = places.correct.mutable_data_ptr<std::uint8_t>() + first;
  for_chunks(logits.size(0), [&](std::int64_t, std::int64_t begin, std::int64_t end) {
    row_kernels().cross_entropy(rows, begin, end);
  });
}

struct CrossEntropyGradients {
  Tensor hidden, rows;
};

// Chunk by chunk, each chunk's gradients formed before the next chunk's logits take its place.
CrossEntropyGradients chunked_cross_entropy(const Tensor& hidden, const Tensor& cast,
                                            const CrossEntropyPlaces& places, std::int64_t chunk,
                                            bool with_gradients) {
  CrossEntropyGradients gradients;
  if (with_gradients) {
    gradients.hidden = at::empty_like(hidden);
    gradients.rows = at::zeros(cast.sizes(), cast.options().dtype(at::kFloat));
  }
  Tensor logits;
  for (std::int64_t first = 0; first < hidden.size(0); first += chunk) {
    const std::int64_t count = std::min(chunk, hidden.size(0) - first);
    const Tensor own = hidden.narrow(0, first, count);
    if (!logits.defined() || logits.size(0) != count)
      logits = at::empty({count, cast.size(0)}, hidden.options());
    at::mm_out(logits, own, cast.t());
    differentiate_logits(logits, places, first);
    if (!with_gradients) continue;
    Tensor hidden_gradient = gradients.hidden.narrow(0, first, count);
    at::mm_out(hidden_gradient, logits, cast);
    gradients.rows.add_(at::mm(logits.t(), own));
  }
  return gradients;
}

class CrossEntropyFunction : public torch::autograd::Function<CrossEntropyFunction> {
 public:
  // Saves hidden rows, class rows and the gradient of the logits where those fit one chunk, else the
  // gradients of hidden rows and class rows themselves.
  static variable_list forward(AutogradContext* context, const Tensor& hidden, const Tensor& rows,
                               const Tensor& targets, const Tensor& weights, double z_loss,
                               bool with_gradients) {
    const std::int64_t count = hidden.size(0);
    const Tensor cast = rows.to(hidden.scalar_type());
    const CrossEntropyPlaces places{targets,
                                    weights,
                                    at::empty({count}, rows.options().dtype(at::kFloat)),
                                    at::empty({count}, rows.options().dtype(at::kFloat)),
                                    at::empty({count}, rows.options().dtype(at::kByte)),
                                    z_loss};
    const std::int64_t chunk = logit_chunk(count, rows.size(0), hidden.element_size());
    if (chunk == count) {
      const Tensor logits = at::mm(hidden, cast.t());
      differentiate_logits(logits, places, 0);
      context->save_for_backward({hidden, cast, logits});
    } else {
      const auto gradients = chunked_cross_entropy(hidden, cast, places, chunk, with_gradients);
      context->save_for_backward({gradients.hidden, gradients.rows});
    }
    context->set_materialize_grads(false);
    Tensor objective = (weights * places.losses).sum();
    if (z_loss > 0) objective = objective + z_loss * (weights * places.log_sums.square()).sum();
    context->mark_non_differentiable({places.losses, places.correct});
    return {objective, places.losses, places.correct};
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    variable_list result(6);
    if (!gradients[0].defined()) return result;
    const auto saved = context->get_saved_variables();
    const Tensor scale = gradients[0];
    const bool whole = saved.size() == 3;
    if (context->needs_input_grad(0))
      result[0] = whole ? at::mm(saved[2], saved[1]).mul_(scale) : saved[0].mul(scale);
    if (context->needs_input_grad(1))
      result[1] = whole ? at::mm(saved[2].t(), saved[0]).to(at::kFloat).mul_(scale) : saved[1].mul(scale);
    return result;
  }
};

RowCrossEntropy plain_cross_entropy(const Tensor& hidden, const Tensor& rows, const Tensor& targets,
                                    const Tensor& weights, double z_loss) {
  const Tensor logits = at::mm(hidden, rows.to(hidden.scalar_type()).t()).to(at::kFloat);
  const Tensor log_sums = logits.logsumexp(1);
  const Tensor index = targets.to(at::kLong).unsqueeze(1);
  const Tensor losses = log_sums - logits.gather(1, index).squeeze(1);
  Tensor objective = (weights * losses).sum();
  if (z_loss > 0) objective = objective + z_loss * (weights * log_sums.square()).sum();
  return {objective, losses.detach(), logits.detach().argmax(1) == index.squeeze(1)};
}

class CastLinearFunction : public torch::autograd::Function<CastLinearFunction> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& weight, const Tensor& cast,
                        const std::optional<Tensor>& given_bias) {
    const Tensor bias = given_bias.value_or(Tensor());
    (void)weight;
    context->save_for_backward({x, cast});
    context->saved_data["bias"] = bias.defined();
    return bias.defined() ? at::addmm(bias.to(x.scalar_type()), x, cast.t()) : at::mm(x, cast.t());
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const Tensor &x = saved[0], &cast = saved[1];
    const Tensor incoming = gradients[0].contiguous();
    Tensor x_gradient, weight_gradient, bias_gradient;
    if (context->needs_input_grad(0)) x_gradient = at::mm(incoming, cast);
    if (context->needs_input_grad(1)) weight_gradient = at::mm(incoming.t(), x).to(at::kFloat);
    if (context->saved_data["bias"].toBool()) bias_gradient = incoming.sum(0, false, at::kFloat);
    return {x_gradient, weight_gradient, Tensor(), bias_gradient};
  }
};

}  // namespace

std::pair<Tensor, Tensor> add_norm(const Tensor& residual, const Tensor& delta, const Tensor& weight,
                                   const NormOptions& options) {
  ensure(residual.dim() == 2 && residual.scalar_type() == at::kFloat, "add_norm wants fp32 rows");
  ensure(!delta.defined() || delta.scalar_type() == options.output_type,
         "add_norm: the delta has another type than the output");
  const bool centred = options.kind == NormKind::layer, bf16 = options.output_type == at::kBFloat16;
  if (has_kernel(residual) && (bf16 || options.output_type == at::kFloat)) {
    const Tensor rows = residual.contiguous();
    if (!delta.defined())
      return {residual, NormFunction::apply(rows, maybe(weight), centred, options.epsilon, bf16)};
    const variable_list out =
        AddNormFunction::apply(rows, delta.contiguous(), maybe(weight), centred, options.epsilon, bf16);
    return {out[0], out[1]};
  }
  std::pair<Tensor, Tensor> result;
  if (cuda_add_norm(residual, delta, weight, options, result)) return result;
  const Tensor sum = delta.defined() ? residual + delta.to(at::kFloat) : residual;
  return {sum, plain_norm(sum, weight, options)};
}

Tensor swiglu(const Tensor& gate_up) {
  if (has_kernel(gate_up) && gate_up.dim() == 2) return SwigluFunction::apply(gate_up.contiguous());
  const auto halves = gate_up.chunk(2, -1);
  return at::silu(halves[0]) * halves[1];
}

RowCrossEntropy row_cross_entropy(const Tensor& hidden, const Tensor& rows, const Tensor& targets,
                                  const Tensor& weights, double z_loss) {
  if (hidden.scalar_type() == at::kDouble) return plain_cross_entropy(hidden, rows, targets, weights, z_loss);
  const bool with_gradients = at::GradMode::is_enabled() && (hidden.requires_grad() || rows.requires_grad());
  const variable_list out =
      CrossEntropyFunction::apply(hidden, rows, targets, weights, z_loss, with_gradients);
  return {out[0], out[1], out[2].to(at::kBool)};
}

Tensor cast_linear(const Tensor& x, const Tensor& weight, const Tensor& cast, const Tensor& bias) {
  return CastLinearFunction::apply(x, weight, cast, maybe(bias));
}

}  // namespace omni::kernels
