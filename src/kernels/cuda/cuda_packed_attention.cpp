#include "cuda_packed_attention.h"

#include <ATen/Context.h>

#include <cmath>

#include "cuda_attention.h"
#include "omni/kernels/gradient_function.h"

namespace omni::kernels {
namespace {

using at::Tensor;

CudaAttention call_of(const Tensor& query, const Tensor& key, const Tensor& value, const Tensor& bounds,
                      CudaAttentionKernels kernels) {
  return {query,  key, value, bounds[0], bounds[1], 1 / std::sqrt(static_cast<double>(query.size(2))),
          kernels};
}

// Of queries, keys, values and the bounds of the spans.
class CudaAttentionFunction : public GradientFunction {
 public:
  explicit CudaAttentionFunction(CudaAttentionKernels kernels) : kernels_(kernels) {}

  std::vector<Tensor> forward(ForwardContext& context, const std::vector<Tensor>& inputs) const override {
    const Tensor &query = inputs[0], &key = inputs[1], &value = inputs[2], &bounds = inputs[3];
    const CudaAttentionResult result = cuda_attention_forward(call_of(query, key, value, bounds, kernels_));
    context.save({query, key, value, bounds, result.output, result.log_sum});
    return {result.output};
  }
  std::vector<Tensor> backward(const BackwardContext& context,
                               const std::vector<Tensor>& gradients) const override {
    const std::vector<Tensor> saved = context.saved();
    const CudaAttentionGradients own = cuda_attention_backward(
        call_of(saved[0], saved[1], saved[2], saved[3], kernels_), {saved[4], saved[5]}, gradients[0],
        at::globalContext().deterministicAlgorithms());
    return {own.query, own.key, own.value, Tensor()};
  }

 private:
  CudaAttentionKernels kernels_;
};

}  // namespace

Tensor cuda_packed_attention(const Tensor& query, const Tensor& key, const Tensor& value,
                             const AttentionSpans& spans, CudaAttentionKernels kernels) {
  return apply_with_gradient(std::make_unique<CudaAttentionFunction>(kernels),
                             {query, key, value, spans.bounds(query.device())})
      .front();
}

}  // namespace omni::kernels
