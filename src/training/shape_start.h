#pragma once

#include <memory>
#include <string>

#include "omni/core/error.h"
#include "omni/nn/parameters.h"
#include "omni/tokenizers/shape_tokenizer.h"

namespace omni::training {

// A tokenizer that a run goes on from, instead of from random weights.

// What colour alone owns, in either layout: all that a run with freeze_geometry trains.
inline constexpr std::string_view kColourParameters = "colour.";

// The tokenizer in `folder`; null for an empty name. Throws Error(usage) where it is of another layout.
template <class Tokenizer>
std::unique_ptr<Tokenizer> load_start(const std::string& folder, std::string_view layout) {
  if (folder.empty()) return nullptr;
  auto loaded = tokenizers::load_shape_tokenizer(folder);
  auto* tokenizer = dynamic_cast<Tokenizer*>(loaded.get());
  if (tokenizer == nullptr)
    fail(ErrorKind::usage, "training a shape tokenizer: start ", folder, " is not of the ", layout,
         " layout. Give a folder that is, or set layout");
  std::unique_ptr<Tokenizer> start(tokenizer);
  static_cast<void>(loaded.release());  // it is start's now
  return start;
}

// The start's sizes, but for the colour's; without a start those given.
template <class Tokenizer, class Sizes>
Sizes sizes_of(const Sizes& given, const Tokenizer* start) {
  if (start == nullptr) return given;
  Sizes sizes = start->network().config();
  sizes.colour = given.colour;
  return sizes;
}

// Copies what has the same name and shape. The rest, which is colour of another size, keeps its random start.
void copy_parameters(const nn::ParameterStore& from, nn::ParameterStore& to);

}  // namespace omni::training
