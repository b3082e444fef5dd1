#pragma once

#include <dlfcn.h>

namespace omni::kernels {

// The function of that name of a library as ::dlopen() gave it; false where it has none.
template <class Function>
bool find_symbol(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(::dlsym(library, name));
  return function != nullptr;
}

}  // namespace omni::kernels
