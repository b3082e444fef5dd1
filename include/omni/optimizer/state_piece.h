#pragma once

#include <ATen/ATen.h>

#include <string>
#include <utility>
#include <vector>

#include "omni/nn/parameters.h"

namespace omni::optimizer {

// A part of an optimiser's state that this rank keeps: of one parameter, all of it where nothing is sharded.
struct StatePiece {
  const nn::Parameter* parameter;
  std::string kind;           // "first_moment", "second_moment", "momentum"
  nn::ElementRange elements;  // of the parameter
  at::Tensor values;          // [elements.count] fp32: the state itself
};

// Whole tensors by name ("<parameter>.<kind>", in the parameter's shape), for files of one rank. Throws
// Error(internal) where a piece is not all of its parameter.
std::vector<std::pair<std::string, at::Tensor>> named_state(const std::vector<StatePiece>& pieces);
// Fills the pieces from such a file. Where a parameter has grown, old rows keep what they had and new ones
// start from zero. Throws Error(input) where one is missing or has another shape.
void load_state(const SafetensorsFile& file, const std::vector<StatePiece>& pieces);

}  // namespace omni::optimizer
