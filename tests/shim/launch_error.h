#pragma once

#include <string>

#include "omni/core/error.h"
#include "shim/sanitizer.h"

namespace omni::shim {

// What a launch complains about; empty where it runs through.
template <class Run>
std::string launch_error(const Run& run) {
  try {
    run();
  } catch (const Error& error) {
    const std::string text = error.what();
    written(text.data(), text.size());  // by the standard library's streams, which no sanitizer watches
    return text;
  }
  return {};
}

}  // namespace omni::shim
