#pragma once

#include <string>

namespace omni::distributed {

// The address of this host on the way to another, which other hosts can reach: "10.0.0.7". Where the way
// leads back to this host itself, that of its first other interface. Throws Error(io).
std::string address_towards(const std::string& host, int port);

}  // namespace omni::distributed
