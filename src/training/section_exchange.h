#pragma once

#include <vector>

#include "omni/distributed/collectives.h"
#include "omni/nn/parameter_units.h"

namespace omni::training {

// What the ranks exchange of the sections of a store. Every rank calls the same for the same sections.

// Sums a unit's gradients over the ranks: of a sharded section each rank gets what it owns, else all of it.
std::vector<distributed::Pending> reduce_gradients(const nn::ParameterUnit& unit,
                                                   distributed::Collectives& collectives);
// Brings the values of a sharded section from their owners to all.
std::vector<distributed::Pending> gather_values(const nn::ParameterSection& section,
                                                distributed::Collectives& collectives);
// Waits for all of them, which are gone then -> how long, in seconds.
double wait_for(std::vector<distributed::Pending>& calls);
// The whole [size] of what each rank has of a sharded section [owned]: its masters, or a moment.
at::Tensor gather_owned(const nn::ParameterSection& section, const at::Tensor& owned,
                        distributed::Collectives& collectives);

}  // namespace omni::training
