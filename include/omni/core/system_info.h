#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace omni {

// The instruction sets that this processor has, as far as kernels choose by them. avx2 implies FMA; avx512 is
// F, BW, VL and DQ together.
struct CpuFeatures {
  bool avx2 = false, avx512 = false, avx512_bf16 = false, avx512_vnni = false, amx_bf16 = false,
       amx_int8 = false;
};
CpuFeatures detect_cpu_features();
std::string cpu_name();        // "unknown CPU" where the system does not tell
std::uint64_t memory_bytes();  // of the machine
// That can still be taken: of the machine, or of the control group that the process is in, if that is less.
std::uint64_t available_memory_bytes();
std::string host_name();  // empty where the system does not tell
int running_tasks();  // threads of all programs that run or wait for a core, this one included; 1 if not told
double seconds_since_1970();  // by the machine's clock

}  // namespace omni
