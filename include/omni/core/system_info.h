#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace omni {

struct CpuFeatures {
  bool avx2 = false, avx512 = false, avx512_bf16 = false, avx512_vnni = false, amx_bf16 = false,
       amx_int8 = false;
};
CpuFeatures detect_cpu_features();
std::string cpu_name();
std::uint64_t memory_bytes();

}  // namespace omni
