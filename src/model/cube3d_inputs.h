#pragma once

#include <map>
#include <string>

#include "omni/model/cube3d_gpt.h"

namespace omni::model {

// A Cube3D GPT with the projections of its conditions and codes inside the transformer.

// transformer_config() with inputs of features, "text" and where there is one "box", and rows of codes that are projected.
TransformerConfig config_with_inputs(const Cube3dGptConfig& config);
// public_layout() in the parameters of such a transformer, whose tokens are those of vocabulary(config). Rows of codes are
// left out, and the projection of codes, "shape_proj", keeps its own name.
PublicLayout layout_with_inputs(const Cube3dGptConfig& config);
// The projection of texts as such a transformer starts it, by the publisher's names.
std::map<std::string, at::Tensor> fresh_text_projection(const Cube3dGptConfig& config,
                                                        nn::ParameterStart start);

}  // namespace omni::model
