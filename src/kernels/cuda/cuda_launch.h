#pragma once

#include <c10/core/DeviceGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include "../floats_or_null.h"
#include "omni/core/error.h"
#include "omni/kernels/fused_kernels.h"
#include "omni/kernels/tensor.h"
#include "plugin_functions.h"

namespace omni::kernels {

inline void* native_stream(const c10::Stream& stream) {
  return c10::impl::VirtualGuardImpl(stream.device_type()).getStreamNativeHandle(stream);
}
inline void* current_stream(const at::Device& device) {
  return native_stream(c10::impl::VirtualGuardImpl(device.type()).getStream(device));
}

// Calls a launcher of the plug-in on the device and the current stream of `place`; `what` names the kernel.
template <class Function, class Arguments>
void launch_cuda(const at::Tensor& place, const char* what, Function function, const Arguments& arguments) {
  const c10::DeviceGuard device(place.device());
  const std::int32_t status = function(&arguments, current_stream(place.device()));
  ensure(status != kOmniCudaUnsupported, "the GPU has no kernel of ", what, " for these shapes or types");
  ensure(status == 0, "the GPU kernel of ", what, " failed with CUDA error ", status);
}

inline OmniCudaType cuda_type(const at::Tensor& x) {
  return x.scalar_type() == at::kBFloat16 ? kOmniCudaBfloat16 : kOmniCudaFloat;
}

// Whether the fused kernel named `what` is to run for rows like `x`: it was asked for, and they are on a GPU.
// Throws Error(usage) where it cannot.
inline bool takes_fused_kernel(const at::Tensor& x, KernelPath path, const char* what) {
  if (path == KernelPath::library || !x.is_cuda()) return false;
  if (!cuda_plugin().status.loaded)
    fail(ErrorKind::usage, "the fused kernel ", what,
         " is in the CUDA plug-in, which is not there: ", cuda_plugin().status.detail,
         ". Leave it out of fused_kernels");
  if (x.scalar_type() != at::kFloat && x.scalar_type() != at::kBFloat16)
    fail(ErrorKind::usage, "the fused kernel ", what, " takes fp32 and bf16, not ",
         c10::toString(x.scalar_type()), ". Leave it out of fused_kernels");
  return true;
}

}  // namespace omni::kernels
