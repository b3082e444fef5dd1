#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>

namespace omni::nn {

// What training computes again in the backward pass in place of keeping it (Chen et al. 2016, arXiv 1604.06174).
struct Recomputation {
  // Of the blocks, which have the numbers 1, 2, ...: whole those whose number is a multiple of it; 0: none.
  std::int64_t every = 0;
  // Of the others: the rows that SwiGLU makes, and those that norms make. Both cost a pass over memory; the products
  // that take them are not made again. Layers with adapters keep theirs.
  bool swiglu = false, norms = false;

  Recomputation() = default;
  // Whether all blocks are is what most ask for. A number would be taken for it.
  template <std::same_as<bool> Whole>
  Recomputation(Whole blocks) : every(blocks ? 1 : 0) {}  // NOLINT: implicit
  Recomputation(std::int64_t every, bool swiglu, bool norms) : every(every), swiglu(swiglu), norms(norms) {}

  bool takes_whole(std::size_t number) const {
    return every > 0 && number % static_cast<std::size_t>(every) == 0;
  }
  bool takes_parts() const { return swiglu || norms; }
  double share_of_blocks(std::int64_t blocks) const {
    return every > 0 && blocks > 0 ? static_cast<double>(blocks / every) / static_cast<double>(blocks) : 0;
  }
};

}  // namespace omni::nn
