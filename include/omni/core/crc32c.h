#pragma once

#include <cstdint>
#include <string_view>

namespace omni {

// The cyclic redundancy check with Castagnoli's polynomial (RFC 3720, section 12.1).
std::uint32_t crc32c(std::string_view bytes);

}  // namespace omni
