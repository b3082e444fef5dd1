#include "cpu_rotary_attention.h"

#include "../projected_heads.h"
#include "omni/kernels/gradient_function.h"

namespace omni::kernels {
namespace {

using at::Tensor;

// Of qkv and the norms, which may be undefined.
class RotaryAttentionFunction : public GradientFunction {
 public:
  explicit RotaryAttentionFunction(AttentionCall call) : call_(std::move(call)) {}

  std::vector<Tensor> forward(ForwardContext& context, const std::vector<Tensor>& inputs) const override {
    const Tensor &qkv = inputs[0], &query_norm = inputs[1], &key_norm = inputs[2];
    const ProjectedHeads rows = projected_heads(qkv, call_.options);
    const AttentionInputs in = inputs_of(call_, rows.query, rows.key, rows.value, query_norm, key_norm);
    const AttentionForward out = run_attention(in, qkv.size(0), qkv.scalar_type());
    context.save({qkv, query_norm, key_norm, out.output, out.log_sum});
    return {out.output};
  }
  std::vector<Tensor> backward(const BackwardContext& context,
                               const std::vector<Tensor>& gradients) const override {
    const auto saved = context.saved();
    const ProjectedHeads rows = projected_heads(saved[0], call_.options);
    const Tensor incoming = gradients[0].contiguous();
    const AttentionInputs in = inputs_of(call_, rows.query, rows.key, rows.value, saved[1], saved[2]);
    Tensor result = at::empty_like(saved[0]);
    const ProjectedHeads out = projected_heads(result, call_.options);
    const NormGradients norms = run_attention_backward(
        in, gradients_of({saved[3], saved[4]}, incoming, out.query, out.key, out.value));
    return {result, norms.query, norms.key};
  }

 private:
  AttentionCall call_;
};

}  // namespace

Tensor cpu_rotary_attention(const Tensor& qkv, const RotaryAttention& options, AttentionWork work) {
  auto function = std::make_unique<RotaryAttentionFunction>(AttentionCall{options, std::move(work)});
  return apply_with_gradient(std::move(function), {qkv.contiguous(), options.query_norm, options.key_norm})
      .front();
}

}  // namespace omni::kernels
