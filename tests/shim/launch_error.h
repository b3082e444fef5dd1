#pragma once

#include <string>

#include "omni/core/error.h"

namespace omni::shim {

// What a launch complains about; empty where it runs through.
template <class Run>
std::string launch_error(const Run& run) {
  try {
    run();
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

}  // namespace omni::shim
