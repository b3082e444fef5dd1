#include "omni/kernels/drawn_token.h"

#include "cpu/token_scores.h"
#include "omni/core/error.h"

namespace omni::kernels {

void require_drawn(DrawFault fault, std::string_view place) {
  if (fault == DrawFault::not_finite) fail_not_finite(place);
  if (fault == DrawFault::no_token)
    fail(ErrorKind::internal, "sampling at ", place, ": no token is allowed, or every one is excluded");
}

}  // namespace omni::kernels
