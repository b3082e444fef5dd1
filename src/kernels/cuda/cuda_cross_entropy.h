#pragma once

#include "omni/kernels/tensor.h"

namespace omni::kernels {

// Rows of logits on a GPU, what they are compared with, and where what is known of each row goes; all contiguous.
struct CudaCrossEntropy {
  at::Tensor logits;            // [n, classes] fp32 or bf16; the gradient takes its place
  at::Tensor targets, weights;  // [n] int32 columns, [n] fp32
  at::Tensor losses, log_sums;  // [n] fp32
  at::Tensor correct;           // [n] uint8
  double z_loss = 0;
};
// By the plug-in's kernel; see OmniCudaCrossEntropy.
void cuda_cross_entropy(const CudaCrossEntropy& rows);

}  // namespace omni::kernels
