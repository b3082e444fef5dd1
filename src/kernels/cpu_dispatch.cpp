#include "cpu_dispatch.h"

#include "omni/core/system_info.h"

namespace omni::kernels {

InstructionSet instruction_set() {
  static const InstructionSet chosen = [] {
    const CpuFeatures features = detect_cpu_features();
    if (features.avx512) return InstructionSet::avx512;
    return features.avx2 ? InstructionSet::avx2 : InstructionSet::generic;
  }();
  return chosen;
}

}  // namespace omni::kernels
