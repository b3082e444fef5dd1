#pragma once

#include <cstddef>
#include <cstdint>

// CUDA's built-in vector types. A load or a store through a pointer that is not aligned to the whole vector
// is an error, as on the GPU: it goes through the copy functions, which check.
namespace omni::shim {
// Throws omni::Error. Out of line, where the compiler cannot assume what is to be checked.
void check_aligned(const void* address, std::size_t bytes, const char* type);
}  // namespace omni::shim

#define OMNI_SHIM_COPY_FUNCTIONS(name, ...)                    \
  name() = default;                                            \
  name(const name& other) {                                    \
    ::omni::shim::check_aligned(&other, alignof(name), #name); \
    assign(other);                                             \
  }                                                            \
  name& operator=(const name& other) {                         \
    ::omni::shim::check_aligned(this, alignof(name), #name);   \
    ::omni::shim::check_aligned(&other, alignof(name), #name); \
    assign(other);                                             \
    return *this;                                              \
  }

#define OMNI_SHIM_VECTOR2(T, name)                   \
  struct alignas(2 * sizeof(T)) name {               \
    T x, y;                                          \
    name(T a, T b) : x(a), y(b) {}                   \
    OMNI_SHIM_COPY_FUNCTIONS(name)                   \
   private:                                          \
    void assign(const name& o) { x = o.x, y = o.y; } \
  };                                                 \
  inline name make_##name(T x, T y) { return name(x, y); }

#define OMNI_SHIM_VECTOR4(T, name, alignment)                          \
  struct alignas(alignment) name {                                     \
    T x, y, z, w;                                                      \
    name(T a, T b, T c, T d) : x(a), y(b), z(c), w(d) {}               \
    OMNI_SHIM_COPY_FUNCTIONS(name)                                     \
   private:                                                            \
    void assign(const name& o) { x = o.x, y = o.y, z = o.z, w = o.w; } \
  };                                                                   \
  inline name make_##name(T x, T y, T z, T w) { return name(x, y, z, w); }

OMNI_SHIM_VECTOR2(float, float2)
OMNI_SHIM_VECTOR2(int, int2)
OMNI_SHIM_VECTOR2(unsigned, uint2)
OMNI_SHIM_VECTOR2(double, double2)
OMNI_SHIM_VECTOR2(unsigned short, ushort2)
OMNI_SHIM_VECTOR2(long long, longlong2)
OMNI_SHIM_VECTOR2(unsigned long long, ulonglong2)
OMNI_SHIM_VECTOR4(float, float4, 16)
OMNI_SHIM_VECTOR4(int, int4, 16)
OMNI_SHIM_VECTOR4(unsigned, uint4, 16)
OMNI_SHIM_VECTOR4(unsigned short, ushort4, 8)
OMNI_SHIM_VECTOR4(signed char, char4, 4)
OMNI_SHIM_VECTOR4(unsigned char, uchar4, 4)
#undef OMNI_SHIM_VECTOR2
#undef OMNI_SHIM_VECTOR4

struct uint3 {
  unsigned x, y, z;
};
struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
