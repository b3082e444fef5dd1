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
              nn::ParameterSeal seal, const GroupRules& rules) {
  const std::vector<std::size_t> rule_of = rules_of_parameters(parameters, rules);
  seal.group = [&](const nn::Parameter& parameter) {
    Group group = is_decayed(parameter, adamw) ? Group::decayed : Group::plain;
    if (muon.enabled && is_hidden_matrix(parameter, parameters)) group = Group::orthogonal;
    const auto place = static_cast<std::size_t>(&parameter - parameters.all().data());
    return group_number(group, rule_of.at(place));
  };
  seal.whole = [](int group) { return group_of({.group = group}) == Group::orthogonal; };
  parameters.seal(seal);
}

}  // namespace omni::optimizer
