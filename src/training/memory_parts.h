#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "omni/nn/parameters.h"

namespace omni::training {

// Where the memory of a rank goes, in bytes: as a dry run expects it, and as a run measures it.
struct MemoryParts {
  // What a step leaves as large as it was.
  double weights = 0;  // in the type of the products
  double gradients = 0;
  double masters = 0;  // fp32 of weights in another type
  double moments = 0;  // of the optimisers
  // What it makes and frees again, at most.
  double activations = 0;
  double gathered = 0;  // of fully sharded blocks: values and gradients, while they are whole
  // Not of the device's memory where that is a GPU.
  double checkpoint_copy = 0;  // of the state that is being written
  double batches = 0;          // prepared ones, of this step and ahead of it
  double text_tower = 0;       // whose features texts are shown as
  double other = 0;            // the process takes beside all these

  double sum() const;
  // In this order, with the names that tables and metrics have; what is gathered, and the text tower, only where something is.
  std::vector<std::pair<std::string, double>> by_name() const;
};

// As it was measured: the parts make up the total, but for those that are not on the device.
struct MeasuredMemory {
  MemoryParts parts;
  double total = 0;  // bytes
};

// Weights, gradients and masters of a sealed store, as far as this rank has them.
MemoryParts memory_of(const nn::ParameterStore& parameters);

// Of a unit while it is whole, whether it is now or not.
std::int64_t value_bytes(const nn::ParameterUnit& unit);
std::int64_t gradient_bytes(const nn::ParameterUnit& unit);

// The most that values and gradients of fully sharded blocks take while they are whole: in the backward pass there are
// the values of a block and of the next one, and the gradients of that block and of the one before.
double gathered_bytes(const nn::ParameterStore& parameters);

// A line "<start>part  0.123 GB" for each part that takes something.
std::string memory_table(const MemoryParts& parts, const std::string& start);

}  // namespace omni::training
