#include "omni/kernels/fused_kernels.h"

#include <algorithm>

#include "omni/core/error.h"

namespace omni::kernels {

const std::vector<std::string>& FusedKernels::names() {
  static const std::vector<std::string> names = {"all",           "norm",  "rotation", "swiglu",
                                                 "cross_entropy", "adamw", "embedding"};
  return names;
}

FusedKernels::FusedKernels(const std::vector<std::string>& chosen) {
  for (const std::string& name : chosen) {
    const auto found = std::find(names().begin(), names().end(), name);
    if (found == names().end())
      fail(ErrorKind::usage, "no fused kernel is called '", name,
           "'. Choose all, norm, rotation, swiglu, cross_entropy, adamw or embedding");
    const auto place = static_cast<unsigned>(found - names().begin());
    bits_ |= place == 0 ? ~0u : 1u << (place - 1);
  }
}

}  // namespace omni::kernels
