#pragma once

#include <chrono>
#include <memory>

#include "gloo_links.h"
#include "omni/distributed/collectives.h"

namespace omni::distributed {

// Over CPU tensors. `patience` is the time-out of a call, from the moment when the calls before it are done,
// and of connecting. Throws Error(io) where the ranks cannot connect.
std::unique_ptr<Collectives> make_gloo_collectives(Store& store, const Peers& peers,
                                                   std::chrono::milliseconds patience);

}  // namespace omni::distributed
