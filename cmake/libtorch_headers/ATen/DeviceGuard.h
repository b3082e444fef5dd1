#pragma once

// In place of LibTorch's own, which every operation's header includes: without the guards of lists of tensors, for which
// it takes ATen/core/ivalue.h into every file, three fifths of what compiling an empty file costs.
#include <ATen/core/Tensor.h>
#include <c10/core/DeviceGuard.h>
