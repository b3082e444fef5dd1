#include "cuda_head_rotation.h"

#include "cuda_launch.h"
#include "omni/kernels/gradient_function.h"
#include "omni/kernels/profiled_range.h"

namespace omni::kernels {
namespace {

using at::Tensor;

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

// Of qkv and the norms, which may be undefined. -> queries, keys, values. All three, so that the backward pass makes
// the gradient of qkv in one go.
class CudaRotationFunction : public GradientFunction {
 public:
  // options: without the norms.
  explicit CudaRotationFunction(const RotaryAttention& options) : options_(options) {}

  std::vector<Tensor> forward(ForwardContext& context, const std::vector<Tensor>& inputs) const override {
    const ProfiledRange profiled("omni::rotation");
    const RotaryAttention& o = options_;
    const Tensor &qkv = inputs[0], &query_norm = inputs[1], &key_norm = inputs[2];
    const auto heads = [&](std::int64_t count) {
      return at::empty({qkv.size(0), count, o.head_size}, qkv.options());
    };
    const Tensor query = heads(o.heads), key = heads(o.key_value_heads);
    OmniCudaHeadRotation a = arguments_of(qkv, query_norm, key_norm, o);
    a.query = query.mutable_data_ptr();
    a.key = key.mutable_data_ptr();
    launch_cuda(qkv, "rotation", cuda_plugin().training.head_rotation, a);
    context.save({qkv, query_norm, key_norm});
    return {query, key, projected_heads(qkv, o).value};
  }

  std::vector<Tensor> backward(const BackwardContext& context,
                               const std::vector<Tensor>& gradients) const override {
    const ProfiledRange profiled("omni::rotation_backward");
    const RotaryAttention& o = options_;
    const std::vector<Tensor> saved = context.saved();
    const Tensor &qkv = saved[0], &query_norm = saved[1], &key_norm = saved[2];
    const Tensor query = gradients[0].contiguous(), key = gradients[1].contiguous(),
                 value = gradients[2].contiguous();
    OmniCudaHeadRotationGradient b{};
    b.forward = arguments_of(qkv, query_norm, key_norm, o);
    b.query_gradient = query.const_data_ptr();
    b.key_gradient = key.const_data_ptr();
    b.value_gradient = value.const_data_ptr();
    const Tensor result = at::empty_like(qkv);
    b.qkv_gradient = result.mutable_data_ptr();
    const bool query_norm_wanted = context.needs_gradient(1), key_norm_wanted = context.needs_gradient(2);
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
    return {result, query_norm_wanted ? norms[0] : Tensor(), key_norm_wanted ? norms[1] : Tensor()};
  }

 private:
  RotaryAttention options_;
};

}  // namespace

ProjectedHeads cuda_norm_and_rotate(const Tensor& qkv, const RotaryAttention& options) {
  constexpr std::int64_t kWidestHead = 512;
  if (options.head_size % 2 != 0 || options.head_size > kWidestHead)
    fail(ErrorKind::usage, "the fused kernel rotation takes even head sizes of at most ", kWidestHead,
         ", not ", options.head_size, ". Leave it out of fused_kernels");
  RotaryAttention own = options;
  own.query_norm = own.key_norm = Tensor();
  for (Tensor* angles : {&own.cosine, &own.sine})
    if (angles->defined()) *angles = angles->contiguous();
  const auto contiguous = [](const Tensor& x) { return x.defined() ? x.contiguous() : x; };
  const std::vector<Tensor> heads =
      apply_with_gradient(std::make_unique<CudaRotationFunction>(own),
                          {qkv.contiguous(), contiguous(options.query_norm), contiguous(options.key_norm)});
  return {heads[0], heads[1], heads[2]};
}

}  // namespace omni::kernels
