#include "deterministic.h"

#include <ATen/Context.h>

#include <cstdlib>

namespace omni::training {

void compute_deterministically() {
  // cuBLAS takes its workspace by this, and LibTorch refuses its products without. Whoever sets it decides.
  ::setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", 0);
  at::globalContext().setDeterministicAlgorithms(true, false);
}

}  // namespace omni::training
