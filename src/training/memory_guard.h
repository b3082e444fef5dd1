#pragma once

#include <exception>
#include <string>
#include <utility>

#include "omni/core/error.h"
#include "omni/core/memory_error.h"

namespace omni::training {

// What to say where memory is used up in a part of a run.
struct MemoryAdvice {
  std::string part;    // "the optimizer's update of step 3"
  std::string change;  // "Lower tokens_per_micro_batch (8192)"
};

// "<output>: out of memory in <part>: <what LibTorch says>. <change>", with exit code 71.
[[noreturn]] void refuse_for_memory(const std::string& output, const MemoryAdvice& advice,
                                    const std::exception& error);

// Does `work`, a part of the run into `output`. Memory that is used up meanwhile, on the host or on a GPU, becomes
// Error(out_of_memory) with the advice that `advice` makes.
template <class Advice, class Work>
decltype(auto) within_memory(const std::string& output, const Advice& advice, Work&& work) {
  try {
    return std::forward<Work>(work)();
  } catch (const std::exception& error) {
    if (tells_of_memory(error)) refuse_for_memory(output, advice(), error);
    throw;
  }
}

}  // namespace omni::training
