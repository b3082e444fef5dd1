#pragma once

#include <cstdint>

#include "omni/kernels/tensor.h"

namespace omni::kernels {

// x divided by 1 - rate where it is kept, 0 elsewhere (Srivastava et al. 2014, JMLR 15). Element i, counted
// in memory order of a contiguous x, is kept where word i of CounterRng(key) is at least rate * 2^32: the
// mask is a function of the key alone, on every device and with any number of threads, so a block that runs
// again draws the same one. 0 <= rate < 1. Differentiable; only the key is kept for the backward pass.
at::Tensor keyed_dropout(const at::Tensor& x, double rate, std::uint64_t key);
// The same with a key that is read where x is, when it is computed: an int64 scalar with the key's bits.
at::Tensor keyed_dropout(const at::Tensor& x, double rate, const at::Tensor& key);

}  // namespace omni::kernels
