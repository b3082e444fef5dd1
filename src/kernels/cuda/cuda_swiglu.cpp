#include "cuda_swiglu.h"

#include "cuda_launch.h"
#include "omni/kernels/gradient_function.h"
#include "omni/kernels/profiled_range.h"

namespace omni::kernels {
namespace {

using at::Tensor;

OmniCudaSwiglu arguments_of(const Tensor& gate_up, const Tensor& output) {
  OmniCudaSwiglu a{};
  a.gate_up = gate_up.const_data_ptr();
  a.output = output.mutable_data_ptr();
  a.rows = gate_up.size(0);
  a.width = gate_up.size(1) / 2;
  a.type = cuda_type(gate_up);
  return a;
}

class CudaSwigluFunction : public GradientFunction {
 public:
  std::vector<Tensor> forward(ForwardContext& context, const std::vector<Tensor>& inputs) const override {
    const ProfiledRange profiled("omni::swiglu");
    const Tensor& gate_up = inputs[0];
    const Tensor output = at::empty({gate_up.size(0), gate_up.size(1) / 2}, gate_up.options());
    launch_cuda(gate_up, "SwiGLU", cuda_plugin().training.swiglu, arguments_of(gate_up, output));
    context.save({gate_up});
    return {output};
  }
  std::vector<Tensor> backward(const BackwardContext& context,
                               const std::vector<Tensor>& gradients) const override {
    const ProfiledRange profiled("omni::swiglu_backward");
    const Tensor gate_up = context.saved()[0], incoming = gradients[0].contiguous();
    const Tensor result = at::empty_like(gate_up);
    OmniCudaSwiglu a = arguments_of(gate_up, result);
    a.output_gradient = incoming.const_data_ptr();
    launch_cuda(gate_up, "SwiGLU's gradient", cuda_plugin().training.swiglu_backward, a);
    return {result};
  }
};

}  // namespace

Tensor cuda_swiglu(const Tensor& gate_up) {
  return apply_with_gradient(std::make_unique<CudaSwigluFunction>(), {gate_up.contiguous()}).front();
}

}  // namespace omni::kernels
