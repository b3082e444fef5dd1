#pragma once

// The heavy half of LibTorch, compiled once. What a header's inline functions ask of templates is made again in every
// file that takes it, used or not: so what few files need, as torch/csrc/autograd or ATen/core/ivalue.h, they include.
#include "../include/omni/kernels/tensor.h"
#include "standard_pch.h"
