#pragma once

#include <functional>

#include "omni/model/transformer.h"

namespace omni::model {

// As Transformer::add_adapters(), but parameters that `whole` chooses go on being trained beside the adapters.
void add_adapters_beside(Transformer& transformer, const nn::LowRankConfig& config, nn::ParameterStart start,
                         const std::function<bool(const nn::Parameter&)>& whole);

}  // namespace omni::model
