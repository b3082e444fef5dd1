#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include "omni/kernels/tensor.h"
#include "omni/nn/recomputation.h"

namespace omni::nn {

// A block of a network as a function of its activations. Its parameters are held inside.
using BlockFunction = std::function<std::vector<at::Tensor>(const std::vector<at::Tensor>&)>;

// The one seam through which the blocks of a network are called: a plain call, or one that recomputes and may
// gather sharded parameters first. `unit` says whose parameters the block holds: an index into
// ParameterStore::units().
class BlockExecutor {
 public:
  virtual ~BlockExecutor() = default;
  virtual std::vector<at::Tensor> run(std::size_t unit, const BlockFunction& block,
                                      const std::vector<at::Tensor>& inputs) const = 0;
};

// Calls the block and keeps its activations for the backward pass.
std::unique_ptr<BlockExecutor> make_plain_executor();

// Is told when a block's parameters are about to be read, and when nothing holds them any longer: in the backward
// pass when their gradients are complete.
class BlockVisitor {
 public:
  enum class Pass { forward, backward };
  virtual ~BlockVisitor() = default;
  virtual void enter(std::size_t unit, Pass pass) = 0;
  virtual void leave(std::size_t unit, Pass pass) = 0;
};

// Of the blocks that `recomputation` takes whole keeps only the inputs and runs them again in the backward pass; others
// it calls. Blocks must be deterministic. Their parameters receive their gradients whether or not an input wants one.
// The visitor, if any, is told of those that run again, and must outlive the executor and all graphs.
std::unique_ptr<BlockExecutor> make_recompute_executor(const Recomputation& recomputation = true,
                                                       BlockVisitor* visitor = nullptr);

}  // namespace omni::nn
