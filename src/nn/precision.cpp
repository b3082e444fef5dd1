#include "omni/nn/precision.h"

#include "omni/core/error.h"

namespace omni::nn {

at::ScalarType precision_type(std::string_view name) {
  if (name == "fp32") return at::kFloat;
  if (name == "bf16") return at::kBFloat16;
  fail(ErrorKind::usage, "the precision '", name, "' is not known. Choose fp32 or bf16");
}

}  // namespace omni::nn
