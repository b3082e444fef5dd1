#pragma once

#include <exception>

namespace omni {

// Whether the host or a GPU had no memory left: std::bad_alloc, or what LibTorch says of it in words alone. Not an
// Error, which has its own words.
bool tells_of_memory(const std::exception& error);

}  // namespace omni
