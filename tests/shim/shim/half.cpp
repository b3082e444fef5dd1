#include "shim/half.h"

#include <cmath>

#include "omni/core/error.h"

namespace omni::shim {

// fp16 has 10 bits of mantissa, the smallest normal number is 2^-14 and the largest finite one 65504.
std::uint16_t half_bits(float value) {
  const auto sign = static_cast<std::uint16_t>(std::signbit(value) ? 0x8000 : 0);
  const float size = std::fabs(value);
  if (std::isnan(value)) return 0x7fff;
  if (size >= 65520.0f) return sign | 0x7c00;
  if (size < 6.103515625e-05f)  // subnormal: units of 2^-24; nearbyint rounds ties to even
    return static_cast<std::uint16_t>(sign | static_cast<int>(std::nearbyint(std::ldexp(size, 24))));
  int exponent = 0;
  const float fraction = std::frexp(size, &exponent);                               // in [0.5, 1)
  const int mantissa = static_cast<int>(std::nearbyint(std::ldexp(fraction, 11)));  // in [1024, 2048]
  return static_cast<std::uint16_t>(sign | (((exponent + 14) << 10) + mantissa - 1024));
}

float half_value(std::uint16_t bits) {
  const int exponent = bits >> 10 & 31, mantissa = bits & 1023;
  const float sign = bits & 0x8000 ? -1.0f : 1.0f;
  if (exponent == 31) return mantissa ? std::nanf("") : sign * INFINITY;
  if (exponent == 0) return sign * std::ldexp(static_cast<float>(mantissa), -24);
  return sign * std::ldexp(static_cast<float>(mantissa + 1024), exponent - 25);
}

void check_aligned(const void* address, std::size_t bytes, const char* type) {
  if (reinterpret_cast<std::uintptr_t>(address) % bytes != 0)
    fail(ErrorKind::internal, "misaligned access to a ", type, " at ", address, ": it needs a multiple of ",
         bytes);
}

}  // namespace omni::shim
