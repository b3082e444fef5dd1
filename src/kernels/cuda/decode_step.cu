#include "decode_step.cuh"

extern "C" {

std::int32_t omni_cuda_decode_begin(const OmniCudaDecodeBegin* arguments, void* stream) {
  using namespace omni::cuda;
  return OMNI_LAUNCH(decode_begin, dim3(1), dim3(kStepThreads), 0, stream, *arguments);
}

std::int32_t omni_cuda_decode_embed(const OmniCudaDecodeEmbed* arguments, void* stream) {
  using namespace omni::cuda;
  if (arguments->rows == 0) return kSuccess;
  return OMNI_LAUNCH(decode_embed, dim3(static_cast<unsigned>(arguments->rows)), dim3(kStepThreads), 0,
                     stream, *arguments);
}

std::int32_t omni_cuda_decode_publish(const OmniCudaDecodePublish* arguments, void* stream) {
  using namespace omni::cuda;
  if (arguments->batch == 0) return kSuccess;
  return OMNI_LAUNCH(decode_publish, dim3(1), dim3(kStepThreads), 0, stream, *arguments);
}
}
