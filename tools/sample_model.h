#pragma once

#include <string>

#include "omni/generation/make_samples.h"
#include "sample_arguments.h"

namespace omni::tools {

// The model that `omni sample` loads, and how it is to sample.

std::string precision_name(const SampleArguments& arguments);  // where it says "auto", what that means
// For requests like this one. Throws as require_memory() and model::load_bundle().
model::Bundle load_model(const SampleArguments& arguments, const generation::GenerationRequest& request);
// With a progress bar over the tokens. Of several samples those that are drawn when Ctrl-C comes are finished.
generation::SampleOptions sample_options(const SampleArguments& arguments, bool with_meshes);

}  // namespace omni::tools
