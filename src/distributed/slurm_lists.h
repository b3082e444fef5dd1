#pragma once

#include <string>
#include <string_view>

namespace omni::distributed {

// The two notations in which Slurm writes lists.

// The first host of a node list: "node[003-005,9],other" is node003. Throws Error(usage), which names
// `variable`, for what is no such list.
std::string first_host(std::string_view list, std::string_view variable);

// The entry of node `node` in a list of counts with repetitions: "4(x2),3" is 4, 4, 3. Throws Error(usage),
// which names `variable`, for what is no such list or has fewer entries.
int count_of_node(std::string_view list, int node, std::string_view variable);

}  // namespace omni::distributed
