#include "cpu_packed_attention.h"

#include "omni/kernels/gradient_function.h"

namespace omni::kernels {
namespace {

using at::Tensor;

// Of queries, keys and values.
class PackedAttentionFunction : public GradientFunction {
 public:
  explicit PackedAttentionFunction(AttentionCall call) : call_(std::move(call)) {}

  std::vector<Tensor> forward(ForwardContext& context, const std::vector<Tensor>& inputs) const override {
    const Tensor &query = inputs[0], &key = inputs[1], &value = inputs[2];
    const AttentionInputs in = inputs_of(call_, query, key, value, {}, {});
    const AttentionForward out = run_attention(in, query.size(0), query.scalar_type());
    context.save({query, key, value, out.output, out.log_sum});
    return {out.output.view(query.sizes())};
  }
  std::vector<Tensor> backward(const BackwardContext& context,
                               const std::vector<Tensor>& gradients) const override {
    const auto saved = context.saved();
    const Tensor incoming = gradients[0].contiguous();
    const AttentionInputs in = inputs_of(call_, saved[0], saved[1], saved[2], {}, {});
    Tensor query = at::empty(saved[0].sizes(), saved[0].options()),
           key = at::empty(saved[1].sizes(), saved[1].options());
    Tensor value = at::empty(saved[2].sizes(), saved[2].options());
    run_attention_backward(in, gradients_of({saved[3], saved[4]}, incoming, query, key, value));
    return {query, key, value};
  }

 private:
  AttentionCall call_;
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
  auto function = std::make_unique<PackedAttentionFunction>(AttentionCall{options, std::move(work)});
  return apply_with_gradient(std::move(function),
                             {heads_contiguous(query), heads_contiguous(key), heads_contiguous(value)})
      .front();
}

}  // namespace omni::kernels
