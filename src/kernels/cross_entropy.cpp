#include "omni/kernels/cross_entropy.h"

#include <torch/csrc/autograd/custom_function.h>

#include "cpu/cross_entropy_kernels.h"
#include "cpu/row_chunks.h"

namespace omni::kernels {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

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
  if (!has_row_kernel(logits)) return differentiate_plainly(logits, places, first);
  CrossEntropyCall call;
  call.bf16 = logits.scalar_type() == at::kBFloat16;
  call.width = logits.size(1);
  call.logits = logits.mutable_data_ptr();
  call.targets = places.targets.const_data_ptr<std::int32_t>() + first;
  call.weights = places.weights.const_data_ptr<float>() + first;
  call.z_loss = static_cast<float>(places.z_loss);
  call.losses = places.losses.mutable_data_ptr<float>() + first;
  call.log_sums = places.log_sums.mutable_data_ptr<float>() + first;
  call.correct = places.correct.mutable_data_ptr<std::uint8_t>() + first;
  for_row_chunks(logits.size(0), [&](std::int64_t, std::int64_t begin, std::int64_t end) {
    cross_entropy_kernels().differentiate(call, begin, end);
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

}  // namespace

RowCrossEntropy row_cross_entropy(const Tensor& hidden, const Tensor& rows, const Tensor& targets,
                                  const Tensor& weights, double z_loss) {
  if (hidden.scalar_type() == at::kDouble) return plain_cross_entropy(hidden, rows, targets, weights, z_loss);
  const bool with_gradients = at::GradMode::is_enabled() && (hidden.requires_grad() || rows.requires_grad());
  const variable_list out =
      CrossEntropyFunction::apply(hidden, rows, targets, weights, z_loss, with_gradients);
  return {out[0], out[1], out[2].to(at::kBool)};
}

}  // namespace omni::kernels
