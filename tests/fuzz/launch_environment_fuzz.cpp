#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

#include "omni/core/error.h"
#include "omni/distributed/launch_environment.h"

// The first line is the step's list of nodes, the second its tasks per node, the third this node.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::map<std::string, std::string> variables = {
      {"SLURM_PROCID", "1"}, {"SLURM_LOCALID", "1"}, {"SLURM_STEP_NUM_TASKS", "8"}, {"SLURM_JOB_ID", "1"}};
  std::string text(reinterpret_cast<const char*>(data), size);
  for (const char* name : {"SLURM_STEP_NODELIST", "SLURM_STEP_TASKS_PER_NODE", "SLURM_NODEID"}) {
    const std::size_t end = text.find('\n');
    variables[name] = text.substr(0, end);
    text.erase(0, end == std::string::npos ? end : end + 1);
  }
  try {
    omni::distributed::read_launch_environment([&](const std::string& name) -> std::optional<std::string> {
      const auto found = variables.find(name);
      return found == variables.end() ? std::nullopt : std::optional(found->second);
    });
  } catch (const omni::Error&) {
  }
  return 0;
}
