#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "omni/kernels/tensor.h"
#include "omni/nn/parameters.h"

namespace omni::optimizer {

// What an optimiser keeps beside the masters of a section, as flat as they are.
struct SectionState {
  const nn::ParameterSection* section;
  std::string kind;   // "first_moment", "second_moment", "momentum"
  at::Tensor values;  // [owned] fp32: the state itself
};

// The part of it that belongs to one parameter, all of it where nothing is sharded.
struct StatePiece {
  const nn::Parameter* parameter;
  std::string kind;
  nn::ElementRange elements;  // of the parameter
  at::Tensor values;          // [elements.count] fp32: the state itself
};
std::vector<StatePiece> pieces_of(const std::vector<SectionState>& states,
                                  const nn::ParameterStore& parameters);

// Fills a piece from a stored tensor of the shape `stored`, of which read(first, target) copies elements. Where
// the parameter has grown, old rows keep what they had and new ones start from zero. False, and nothing done,
// where it has another shape.
using ReadElements = std::function<void(std::int64_t first, std::span<float> target)>;
bool fill(const StatePiece& piece, at::IntArrayRef stored, const ReadElements& read);

// Whole tensors by name ("<parameter>.<kind>", in the parameter's shape), of a store without shards.
nn::NamedTensors named_state(const std::vector<SectionState>& states, const nn::ParameterStore& parameters);
// Fills the states from a file of them. Throws Error(input) where one is missing or has another shape.
void load_state(const SafetensorsFile& file, const std::vector<SectionState>& states,
                const nn::ParameterStore& parameters);

}  // namespace omni::optimizer
