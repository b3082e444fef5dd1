#pragma once

#include <vector>

#include "cpu/instruction_set.h"

namespace omni::kernels {

// Every variant of a kernel that this processor can run.
inline std::vector<InstructionSet> levels() {
  std::vector<InstructionSet> all = {InstructionSet::generic};
  for (const InstructionSet level :
       {InstructionSet::avx2, InstructionSet::avx512, InstructionSet::avx512_bf16})
    if (level <= bf16_instruction_set()) all.push_back(level);
  return all;
}

}  // namespace omni::kernels
