#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <string>

#include "omni/distributed/collectives.h"

namespace omni::distributed {

enum class Operation : std::uint8_t { all_reduce, reduce_scatter, all_gather, broadcast, barrier };

// What a rank calls: at one number, the same on every rank.
struct Call {
  std::int64_t number = 0;  // from 1
  std::int64_t count = 0;   // of the values of the whole
  Operation operation = Operation::barrier;
  Reduction reduction = Reduction::sum;
  at::ScalarType type = at::kByte;
  std::int32_t root = 0;

  bool operator==(const Call&) const = default;
};

// As it travels between ranks: a copy of the struct would carry bytes that nobody wrote.
using CallWords = std::array<std::int64_t, 6>;
CallWords pack(const Call& call);
Call unpack(const CallWords& words);

// The call that `of` has just begun.
Call begun_call(const Collectives& of, Operation operation, const at::Tensor& whole,
                Reduction reduction = Reduction::sum, int root = 0);

std::string describe(const Call& call);  // "call 17, all_reduce of 1024 Float"

}  // namespace omni::distributed
