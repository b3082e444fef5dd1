#pragma once

#include "omni/nn/parameters.h"
#include "omni/optimizer/adamw.h"
#include "omni/optimizer/muon.h"

namespace omni::optimizer {

// How a parameter is optimised.
enum class Group : int {
  decayed,     // by AdamW, with weight decay
  plain,       // by AdamW, without
  orthogonal,  // by Muon
};

// Seals a store for its optimisers, so that each finds its parameters side by side. What is sharded among the
// ranks follows from the seal's rank and ranks; Muon's matrices are owned whole.
void seal_for(nn::ParameterStore& parameters, const AdamWConfig& adamw, const MuonConfig& muon = {},
              nn::ParameterSeal seal = {});

}  // namespace omni::optimizer
