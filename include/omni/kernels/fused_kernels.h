#pragma once

#include <string>
#include <vector>

namespace omni::kernels {

// How an operation of a training step is computed on a GPU: by LibTorch's calls, or by the plug-in's one kernel for
// it. The processor has its own kernels, whatever is said here.
enum class KernelPath { library, fused };

// The operations for which there is a choice. Kernels take fp32 and bf16, forward and backward, and give the same
// bits in every run.
enum class FusedKernel {
  norm,           // adding to the residual and norming: add_norm.h
  rotation,       // norm of queries and keys, and their rotation: rotary_attention.h
  swiglu,         // swiglu.h
  cross_entropy,  // over rows of logits: cross_entropy.h
  adamw,          // optimizer/adamw.h
  embedding,      // rows of a table, and codebooks' shares of them: embedding.h
};

// Which of them run.
class FusedKernels {
 public:
  FusedKernels() = default;  // none
  // Of their names, or "all". Throws Error(usage) for another one.
  explicit FusedKernels(const std::vector<std::string>& names);

  KernelPath path(FusedKernel kernel) const {
    return (bits_ >> static_cast<unsigned>(kernel) & 1u) != 0 ? KernelPath::fused : KernelPath::library;
  }

  // What the constructor takes: "all", then one name for each kernel.
  static const std::vector<std::string>& names();

 private:
  unsigned bits_ = 0;
};

}  // namespace omni::kernels
