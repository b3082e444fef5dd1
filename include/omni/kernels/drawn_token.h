#pragma once

#include <cstdint>
#include <string_view>

namespace omni::kernels {

// What a GPU drew, for the host to read once nothing hinders it any more.
enum class DrawFault : std::uint8_t { none, not_finite, no_token };
struct DrawnToken {
  std::int32_t token = -1;    // -1 where there is a fault
  float log_probability = 0;  // as SampledToken's
  DrawFault fault = DrawFault::none;
};

// Throws for a fault as sample_token() does, naming the place.
void require_drawn(DrawFault fault, std::string_view place);

}  // namespace omni::kernels
