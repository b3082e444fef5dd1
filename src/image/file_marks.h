#pragma once

#include <cstddef>
#include <cstring>
#include <span>
#include <string_view>

namespace omni::image {

// Whether these bytes stand there; a file that ends before them has others.
inline bool has_bytes(std::span<const std::byte> bytes, std::size_t offset, std::string_view mark) {
  return bytes.size() >= offset && bytes.size() - offset >= mark.size() &&
         std::memcmp(bytes.data() + offset, mark.data(), mark.size()) == 0;
}

}  // namespace omni::image
