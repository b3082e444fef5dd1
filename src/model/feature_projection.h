#pragma once

#include "omni/model/transformer.h"

namespace omni::model {

// How a transformer of `config` embeds the features of one of its inputs, as it starts.
struct FeatureProjection {
  at::Tensor weight, bias;  // [width, features], [width]
};
FeatureProjection add_feature_projection(const nn::ParameterScope& root, const TransformerConfig& config,
                                         const TransformerConfig::FeatureInput& input);

}  // namespace omni::model
