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
    // The standard library's streams wrote the text, and no sanitizer watches them.
    std::string text;
    for (const char* letter = error.what();; ++letter) {
      written(letter, 1);
      if (*letter == '\0') return text;
      text += *letter;
    }
  }
  return {};
}

}  // namespace omni::shim
