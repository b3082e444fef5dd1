#include "omni/optimizer/groups.h"

#include <string_view>

namespace omni::optimizer {
namespace {

bool is_decayed(const nn::Parameter& parameter, const AdamWConfig& config) {
  if (parameter.value.dim() < 2) return false;
  return config.decay_embeddings || parameter.name.find("embedding") == std::string::npos;
}

}  // namespace

void seal_for(nn::ParameterStore& parameters, const AdamWConfig& adamw, const MuonConfig& muon,
              nn::ParameterSeal seal) {
  seal.group = [&](const nn::Parameter& parameter) {
    if (muon.enabled && is_hidden_matrix(parameter, parameters)) return static_cast<int>(Group::orthogonal);
    return static_cast<int>(is_decayed(parameter, adamw) ? Group::decayed : Group::plain);
  };
  seal.whole = [](int group) { return group == static_cast<int>(Group::orthogonal); };
  parameters.seal(seal);
}

}  // namespace omni::optimizer
