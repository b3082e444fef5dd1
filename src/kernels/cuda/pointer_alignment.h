#pragma once

#include <cstdint>

namespace omni::cuda {

// To the 16 bytes that a vector load takes.
inline bool is_aligned(const void* pointer) { return reinterpret_cast<std::uintptr_t>(pointer) % 16 == 0; }

}  // namespace omni::cuda
