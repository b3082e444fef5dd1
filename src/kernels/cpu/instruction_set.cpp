#include "instruction_set.h"

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

InstructionSet bf16_instruction_set() {
  static const CpuFeatures features = detect_cpu_features();
  return features.avx512_bf16 && features.avx512_vnni ? InstructionSet::avx512_bf16 : instruction_set();
}

}  // namespace omni::kernels
