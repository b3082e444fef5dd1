#pragma once

#include "omni/nn/parameters.h"
#include "omni/optimizer/adamw.h"
#include "omni/optimizer/group_rules.h"
#include "omni/optimizer/muon.h"

namespace omni::optimizer {

// Seals a store for its optimisers, so that each finds its parameters side by side. What is sharded among the
// ranks follows from the seal's rank and ranks; Muon's matrices are owned whole. Throws Error(usage) as
// rules_of_parameters() does.
void seal_for(nn::ParameterStore& parameters, const AdamWConfig& adamw, const MuonConfig& muon = {},
              nn::ParameterSeal seal = {}, const GroupRules& rules = {});

}  // namespace omni::optimizer
