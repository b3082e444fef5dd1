#pragma once

#include <ATen/ATen.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

namespace omni::nn {

// A block of a network as a function of its activations. Its parameters are held inside.
using BlockFunction = std::function<std::vector<at::Tensor>(const std::vector<at::Tensor>&)>;

// The one seam through which the blocks of a network are called: a plain call, one that recomputes, later one
// that gathers sharded parameters first. `unit` says whose parameters the block holds: an index into
// ParameterStore::units().
class BlockExecutor {
 public:
  virtual ~BlockExecutor() = default;
  virtual std::vector<at::Tensor> run(std::size_t unit, const BlockFunction& block,
                                      const std::vector<at::Tensor>& inputs) const = 0;
};

// Calls the block and keeps its activations for the backward pass.
std::unique_ptr<BlockExecutor> make_plain_executor();
// Keeps only the block's inputs and runs it again in the backward pass (Chen et al. 2016, arXiv 1604.06174).
// Blocks must be deterministic. Their parameters receive their gradients whether or not an input wants one.
std::unique_ptr<BlockExecutor> make_recompute_executor();

}  // namespace omni::nn
