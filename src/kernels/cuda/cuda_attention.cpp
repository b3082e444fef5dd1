#include "cuda_attention.h"

#include <limits>

#include "cuda_launch.h"
#include "omni/core/error.h"

namespace omni::kernels {
namespace {

using at::Tensor;

bool is_wide(const Tensor& x) { return x.size(0) > std::numeric_limits<std::int32_t>::max(); }

OmniCudaHeads heads_of(const Tensor& x) {
  // The kernels write only where the caller means them to.
  return {const_cast<void*>(x.const_data_ptr()), x.stride(0), x.stride(1)};
}

// All but the spans and the scale.
OmniCudaAttention arguments_of(const Tensor& query, const Tensor& key, const Tensor& value) {
  OmniCudaAttention a{};
  a.query = heads_of(query);
  a.key = heads_of(key);
  a.value = heads_of(value);
  a.query_rows = static_cast<std::int32_t>(query.size(0));
  a.key_rows = static_cast<std::int32_t>(key.size(0));
  a.heads = static_cast<std::int32_t>(query.size(1));
  a.key_value_heads = static_cast<std::int32_t>(key.size(1));
  a.head_size = static_cast<std::int32_t>(query.size(2));
  a.type = query.scalar_type() == at::kBFloat16 ? kOmniCudaBfloat16 : kOmniCudaFloat16;
  return a;
}

OmniCudaAttention arguments_of(const CudaAttention& call, const CudaAttentionResult& result) {
  OmniCudaAttention a = arguments_of(call.query, call.key, call.value);
  a.key_first = call.key_first.const_data_ptr<std::int32_t>();
  a.key_last = call.key_last.const_data_ptr<std::int32_t>();
  a.scale = static_cast<float>(call.scale);
  a.output = heads_of(result.output);
  a.log_sum = const_cast<float*>(result.log_sum.const_data_ptr<float>());
  return a;
}

void check_spans(const CudaAttention& call) {
  const Tensor& q = call.query;
  for (const Tensor* bound : {&call.key_first, &call.key_last})
    ensure(bound->dim() == 1 && bound->size(0) == q.size(0) && bound->scalar_type() == at::kInt &&
               bound->is_contiguous() && bound->device() == q.device(),
           "attention: spans must be one int32 per query row, on its device");
}

// Both sets of kernels have one interface.
struct Functions {
  OmniCudaAttentionFunction forward;
  OmniCudaAttentionBackwardFunction backward;
  OmniCudaAttentionSupportsFunction supports;
};
Functions functions_of(CudaAttentionKernels kernels) {
  const CudaPlugin& plugin = cuda_plugin();
  if (kernels == CudaAttentionKernels::hopper)
    return {plugin.hopper_attention.forward, plugin.hopper_attention.backward,
            plugin.hopper_attention.supports};
  return {plugin.attention_forward, plugin.attention_backward, plugin.attention_supports};
}

Tensor target_or_empty(const Tensor& target, const Tensor& like) {
  if (!target.defined()) return at::empty(like.sizes(), like.options());
  ensure(
      target.sizes() == like.sizes() && target.scalar_type() == like.scalar_type() && target.stride(2) == 1,
      "attention: a gradient's target has another shape or type than its tensor");
  return target;
}

}  // namespace

std::string cuda_attention_refusal(const Tensor& q, const Tensor& key, const Tensor& value,
                                   CudaAttentionKernels kernels) {
  ensure(q.dim() == 3 && key.dim() == 3 && key.sizes() == value.sizes() && q.size(2) == key.size(2),
         "attention: query, key and value do not fit together");
  if (!q.is_cuda()) return "the tensors are not on a CUDA device";
  const CudaPlugin& plugin = cuda_plugin();
  if (!plugin.status.loaded) return concat("the CUDA plug-in is not loaded: ", plugin.status.detail);
  if (q.scalar_type() != at::kBFloat16 && q.scalar_type() != at::kHalf)
    return concat("there is no kernel for ", c10::toString(q.scalar_type()));
  for (const Tensor* x : {&q, &key, &value}) {
    if (x->scalar_type() != q.scalar_type() || x->device() != q.device())
      return "query, key and value differ in type or device";
    if (x->stride(2) != 1) return "the last dimension is not contiguous";
    if (is_wide(*x)) return "there are 2^31 rows or more";
  }
  const c10::DeviceGuard guard(q.device());
  OmniCudaAttention arguments = arguments_of(q, key, value);
  arguments.scale = 1;  // every kernel takes any above 0
  const std::int32_t supported = functions_of(kernels).supports(&arguments);
  if (supported == kOmniCudaNoHopperCode)
    return "the CUDA plug-in was built without sm_90a (CMAKE_CUDA_ARCHITECTURES needs 90a)";
  if (supported != 1)
    return concat("there is no kernel ",
                  kernels == CudaAttentionKernels::hopper ? "with Hopper's instructions " : "", "for ",
                  c10::toString(q.scalar_type()), " at head size ", q.size(2), " with ", q.size(1), " over ",
                  key.size(1), " heads, or these strides, or this device");
  return {};
}

CudaAttentionResult cuda_attention_forward(const CudaAttention& call) {
  check_spans(call);
  const Tensor& q = call.query;
  const c10::DeviceGuard guard(q.device());
  CudaAttentionResult result;
  result.output = at::empty(q.sizes(), q.options());
  result.log_sum = at::empty({q.size(1), q.size(0)}, q.options().dtype(at::kFloat));
  const OmniCudaAttention arguments = arguments_of(call, result);
  const std::int32_t status = functions_of(call.kernels).forward(&arguments, current_stream(q.device()));
  ensure(status == 0, "the GPU attention kernel failed with CUDA error ", status);
  return result;
}

CudaAttentionGradients cuda_attention_backward(const CudaAttention& call, const CudaAttentionResult& result,
                                               const Tensor& output_gradient, bool deterministic,
                                               const CudaAttentionGradients& targets) {
  const Tensor& q = call.query;
  const c10::DeviceGuard guard(q.device());
  const Tensor incoming = output_gradient.contiguous();
  ensure(incoming.sizes() == q.sizes() && incoming.scalar_type() == q.scalar_type(),
         "attention: the gradient of the output has another shape or type than the output");
  const CudaAttentionGradients gradients{target_or_empty(targets.query, q),
                                         target_or_empty(targets.key, call.key),
                                         target_or_empty(targets.value, call.value)};
  const auto numbers = q.options().dtype(at::kFloat);
  const Tensor row_numbers = at::empty({q.size(1), q.size(0), 2}, numbers);
  Tensor query_sums;
  if (call.kernels == CudaAttentionKernels::general && !deterministic &&
      cuda_plugin().attention_atomic(static_cast<std::int32_t>(q.size(2))))
    query_sums = at::empty(q.sizes(), numbers);
  OmniCudaAttentionBackward arguments{};
  arguments.forward = arguments_of(call, result);
  arguments.output_gradient = heads_of(incoming);
  arguments.query_gradient = heads_of(gradients.query);
  arguments.key_gradient = heads_of(gradients.key);
  arguments.value_gradient = heads_of(gradients.value);
  arguments.row_numbers = row_numbers.mutable_data_ptr<float>();
  arguments.query_sums = query_sums.defined() ? query_sums.mutable_data_ptr<float>() : nullptr;
  const std::int32_t status = functions_of(call.kernels).backward(&arguments, current_stream(q.device()));
  ensure(status == 0, "the GPU kernel of the gradient of attention failed with CUDA error ", status);
  return gradients;
}

}  // namespace omni::kernels
