#include "cuda_packed_attention.h"

#include <ATen/Context.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>

#include "cuda_attention.h"

namespace omni::kernels {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

CudaAttention call_of(const Tensor& query, const Tensor& key, const Tensor& value, const Tensor& bounds,
                      CudaAttentionKernels kernels) {
  return {query,  key, value, bounds[0], bounds[1], 1 / std::sqrt(static_cast<double>(query.size(2))),
          kernels};
}

constexpr const char* kKernels = "kernels";

class CudaAttentionFunction : public torch::autograd::Function<CudaAttentionFunction> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& query, const Tensor& key, const Tensor& value,
                        const Tensor& bounds, CudaAttentionKernels kernels) {
    const CudaAttentionResult result = cuda_attention_forward(call_of(query, key, value, bounds, kernels));
    context->saved_data[kKernels] = static_cast<std::int64_t>(kernels);
    context->save_for_backward({query, key, value, bounds, result.output, result.log_sum});
    return result.output;
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const variable_list saved = context->get_saved_variables();
    const auto kernels = static_cast<CudaAttentionKernels>(context->saved_data[kKernels].toInt());
    const CudaAttentionGradients own = cuda_attention_backward(
        call_of(saved[0], saved[1], saved[2], saved[3], kernels), {saved[4], saved[5]}, gradients[0],
        at::globalContext().deterministicAlgorithms());
    return {own.query, own.key, own.value, Tensor(), Tensor()};
  }
};

}  // namespace

Tensor cuda_packed_attention(const Tensor& query, const Tensor& key, const Tensor& value,
                             const AttentionSpans& spans, CudaAttentionKernels kernels) {
  return CudaAttentionFunction::apply(query, key, value, spans.bounds(query.device()), kernels);
}

}  // namespace omni::kernels
