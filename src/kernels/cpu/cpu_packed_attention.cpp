#include "cpu_packed_attention.h"

namespace omni::kernels {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

class PackedAttentionFunction : public torch::autograd::Function<PackedAttentionFunction> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& query, const Tensor& key, const Tensor& value,
                        const AttentionCallPointer& call) {
    const AttentionInputs in = inputs_of(*call, query, key, value, {}, {});
    const AttentionForward out = run_attention(in, query.size(0), query.scalar_type());
    context->save_for_backward({query, key, value, out.output, out.log_sum});
    context->saved_data["call"] = c10::IValue::make_capsule(call);
    return out.output.view(query.sizes());
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const AttentionCall& call = saved_attention_call(context);
    const Tensor incoming = gradients[0].contiguous();
    const AttentionInputs in = inputs_of(call, saved[0], saved[1], saved[2], {}, {});
    Tensor query = at::empty(saved[0].sizes(), saved[0].options()),
           key = at::empty(saved[1].sizes(), saved[1].options());
    Tensor value = at::empty(saved[2].sizes(), saved[2].options());
    run_attention_backward(in, gradients_of({saved[3], saved[4]}, incoming, query, key, value));
    return {query, key, value, Tensor()};
  }
};

Tensor heads_contiguous(const Tensor& x) {
  return x.stride(2) == 1 && x.stride(1) == x.size(2) ? x : x.contiguous();
}

}  // namespace

Tensor cpu_attention(const Tensor& query, const Tensor& key, const Tensor& value, AttentionWork work) {
  RotaryAttention options;
  options.heads = query.size(1);
  options.key_value_heads = key.size(1);
  options.head_size = query.size(2);
  return PackedAttentionFunction::apply(heads_contiguous(query), heads_contiguous(key),
                                        heads_contiguous(value),
                                        make_attention_call(options, std::move(work)));
}

}  // namespace omni::kernels
