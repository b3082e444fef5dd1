#include "cuda_head_rotation.h"

#include <ATen/record_function.h>
#include <torch/csrc/autograd/custom_function.h>

#include "cuda_launch.h"
#include "omni/kernels/if_defined.h"

namespace omni::kernels {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// What both passes need beside the tensors that are trained.
struct Rotation : torch::CustomClassHolder {
  RotaryAttention options;  // without the norms
};

// The norms may be undefined.
OmniCudaHeadRotation arguments_of(const Tensor& qkv, const Tensor& query_norm, const Tensor& key_norm,
                                  const RotaryAttention& o) {
  OmniCudaHeadRotation a{};
  a.qkv = qkv.const_data_ptr();
  a.cosine = floats_or_null(o.cosine);
  a.sine = floats_or_null(o.sine);
  a.query_norm = floats_or_null(query_norm);
  a.key_norm = floats_or_null(key_norm);
  a.row_group = o.row_group.defined() ? o.row_group.const_data_ptr<std::uint8_t>() : nullptr;
  a.rows = qkv.size(0);
  a.heads = static_cast<std::int32_t>(o.heads);
  a.key_value_heads = static_cast<std::int32_t>(o.key_value_heads);
  a.head_size = static_cast<std::int32_t>(o.head_size);
  const Tensor& norm = query_norm.defined() ? query_norm : key_norm;
  a.groups = norm.defined() ? static_cast<std::int32_t>(norm.size(0)) : 1;
  a.interleaved = o.interleaved ? 1 : 0;
  a.epsilon = static_cast<float>(o.norm_epsilon);
  a.type = cuda_type(qkv);
  return a;
}

class CudaRotationFunction : public torch::autograd::Function<CudaRotationFunction> {
 public:
  // -> queries, keys, values. All three, so that the backward pass makes the gradient of qkv in one go.
  static variable_list forward(AutogradContext* context, const Tensor& qkv,
                               const std::optional<Tensor>& given_query_norm,
                               const std::optional<Tensor>& given_key_norm,
                               const c10::intrusive_ptr<Rotation>& rotation) {
    RECORD_FUNCTION("omni::rotation", std::vector<c10::IValue>());
    const RotaryAttention& o = rotation->options;
    const Tensor query_norm = given_query_norm.value_or(Tensor()),
                 key_norm = given_key_norm.value_or(Tensor());
    const auto heads = [&](std::int64_t count) {
      return at::empty({qkv.size(0), count, o.head_size}, qkv.options());
    };
    const Tensor query = heads(o.heads), key = heads(o.key_value_heads);
    OmniCudaHeadRotation a = arguments_of(qkv, query_norm, key_norm, o);
    a.query = query.mutable_data_ptr();
    a.key = key.mutable_data_ptr();
    launch_cuda(qkv, "rotation", cuda_plugin().training.head_rotation, a);
    context->save_for_backward({qkv, query_norm, key_norm});
    context->saved_data["rotation"] = c10::IValue::make_capsule(rotation);
    return {query, key, projected_heads(qkv, o).value};
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    RECORD_FUNCTION("omni::rotation_backward", std::vector<c10::IValue>());
    const auto capsule = context->saved_data["rotation"].toCapsule();
    const RotaryAttention& o = static_cast<const Rotation&>(*capsule).options;
    const variable_list saved = context->get_saved_variables();
    const Tensor &qkv = saved[0], &query_norm = saved[1], &key_norm = saved[2];
    for (Tensor& gradient : gradients) gradient = gradient.contiguous();
    OmniCudaHeadRotationGradient b{};
    b.forward = arguments_of(qkv, query_norm, key_norm, o);
    b.query_gradient = gradients[0].const_data_ptr();
    b.key_gradient = gradients[1].const_data_ptr();
    b.value_gradient = gradients[2].const_data_ptr();
    const Tensor result = at::empty_like(qkv);
    b.qkv_gradient = result.mutable_data_ptr();
    // What is not defined has no edge, so that the edges after it move up.
    const bool query_norm_wanted = query_norm.defined() && context->needs_input_grad(1);
    const bool key_norm_wanted =
        key_norm.defined() && context->needs_input_grad(query_norm.defined() ? 2 : 1);
    Tensor norms, partial;
    if (query_norm_wanted || key_norm_wanted) {
      const auto options = qkv.options().dtype(at::kFloat);
      const std::int64_t groups = b.forward.groups,
                         blocks = (qkv.size(0) + kOmniCudaRotationRows - 1) / kOmniCudaRotationRows;
      norms = at::empty({2, groups, o.head_size}, options);
      partial = at::empty({blocks, 2, groups, o.head_size}, options);
      b.norm_gradients = norms.mutable_data_ptr<float>();
      b.partial = partial.mutable_data_ptr<float>();
    }
    launch_cuda(qkv, "the rotation's gradient", cuda_plugin().training.head_rotation_gradient, b);
    return {result, query_norm_wanted ? norms[0] : Tensor(), key_norm_wanted ? norms[1] : Tensor(), Tensor()};
  }
};

}  // namespace

ProjectedHeads cuda_norm_and_rotate(const Tensor& qkv, const RotaryAttention& options) {
  constexpr std::int64_t kWidestHead = 512;
  if (options.head_size % 2 != 0 || options.head_size > kWidestHead)
    fail(ErrorKind::usage, "the fused kernel rotation takes even head sizes of at most ", kWidestHead,
         ", not ", options.head_size, ". Leave it out of fused_kernels");
  auto rotation = c10::make_intrusive<Rotation>();
  rotation->options = options;
  RotaryAttention& own = rotation->options;
  own.query_norm = own.key_norm = Tensor();
  for (Tensor* angles : {&own.cosine, &own.sine})
    if (angles->defined()) *angles = angles->contiguous();
  const auto contiguous = [](const Tensor& x) { return x.defined() ? x.contiguous() : x; };
  const variable_list heads =
      CudaRotationFunction::apply(qkv.contiguous(), if_defined(contiguous(options.query_norm)),
                                  if_defined(contiguous(options.key_norm)), rotation);
  return {heads[0], heads[1], heads[2]};
}

}  // namespace omni::kernels
