#pragma once

#include <chrono>
#include <memory>

#include "gloo_links.h"
#include "omni/distributed/collectives.h"

namespace omni::distributed {

// Over the memory of a GPU, on a stream of its own beside the caller's. `patience`: from the moment when a
// call becomes the first that is not done to its end. Throws Error(usage) where there is no NCCL, Error(io)
// where the ranks cannot connect. With a CPU as `device`, which NCCL itself does not know, its double for tests
// runs over the memory of the host.
std::unique_ptr<Collectives> make_nccl_collectives(Store& store, const Peers& peers, at::Device device,
                                                   std::chrono::milliseconds patience);

}  // namespace omni::distributed
