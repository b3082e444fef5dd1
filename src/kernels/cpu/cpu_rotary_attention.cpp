#include "cpu_rotary_attention.h"

#include "../projected_heads.h"
#include "omni/kernels/if_defined.h"

namespace omni::kernels {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

class RotaryAttentionFunction : public torch::autograd::Function<RotaryAttentionFunction> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& qkv,
                        const std::optional<Tensor>& given_query_norm,
                        const std::optional<Tensor>& given_key_norm, const AttentionCallPointer& call) {
    const Tensor query_norm = given_query_norm.value_or(Tensor()),
                 key_norm = given_key_norm.value_or(Tensor());
    const ProjectedHeads rows = projected_heads(qkv, call->options);
    const AttentionInputs in = inputs_of(*call, rows.query, rows.key, rows.value, query_norm, key_norm);
    const AttentionForward out = run_attention(in, qkv.size(0), qkv.scalar_type());
    context->save_for_backward({qkv, query_norm, key_norm, out.output, out.log_sum});
    context->saved_data["call"] = c10::IValue::make_capsule(call);
    return out.output;
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const AttentionCall& call = saved_attention_call(context);
    const ProjectedHeads rows = projected_heads(saved[0], call.options);
    const Tensor incoming = gradients[0].contiguous();
    const AttentionInputs in = inputs_of(call, rows.query, rows.key, rows.value, saved[1], saved[2]);
    Tensor result = at::empty_like(saved[0]);
    const ProjectedHeads out = projected_heads(result, call.options);
    const NormGradients norms = run_attention_backward(
        in, gradients_of({saved[3], saved[4]}, incoming, out.query, out.key, out.value));
    return {result, norms.query, norms.key, Tensor()};
  }
};

}  // namespace

Tensor cpu_rotary_attention(const Tensor& qkv, const RotaryAttention& options, AttentionWork work) {
  return RotaryAttentionFunction::apply(qkv.contiguous(), if_defined(options.query_norm),
                                        if_defined(options.key_norm),
                                        make_attention_call(options, std::move(work)));
}

}  // namespace omni::kernels
