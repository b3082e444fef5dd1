#include "omni/distributed/launch_environment.h"

#include <charconv>
#include <cstdlib>

#include "omni/core/error.h"

namespace omni::distributed {
namespace {

using Lookup = std::function<std::optional<std::string>(const std::string&)>;

int parse_number(const std::string& name, const std::string& text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) {
    fail(ErrorKind::usage, "reading the launcher's environment: ", name, " is '", text,
         "', not a whole number");
  }
  return value;
}

std::optional<int> number(const Lookup& lookup, const std::string& name) {
  const std::optional<std::string> text = lookup(name);
  if (!text) return std::nullopt;
  return parse_number(name, *text);
}

struct LauncherVariables {
  const char* launcher;
  const char* rank;
  const char* world_size;
  const char* local_rank;
};
constexpr LauncherVariables kLaunchers[] = {
    {"torchrun", "RANK", "WORLD_SIZE", "LOCAL_RANK"},
    {"slurm", "SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID"},
    {"openmpi", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"},
};

}  // namespace

LaunchEnvironment read_launch_environment(const Lookup& lookup) {
  LaunchEnvironment environment;
  for (const LauncherVariables& names : kLaunchers) {
    const std::optional<int> rank = number(lookup, names.rank);
    const std::optional<int> world_size = number(lookup, names.world_size);
    if (!rank && !world_size) continue;
    if (!rank || !world_size) {
      fail(ErrorKind::usage, "reading the launcher's environment: only one of ", names.rank, " and ",
           names.world_size, " is set. Set both or neither");
    }
    environment.launcher = names.launcher;
    environment.rank = *rank;
    environment.world_size = *world_size;
    environment.local_rank = number(lookup, names.local_rank).value_or(0);
    break;
  }
  if (environment.world_size < 1 || environment.rank >= environment.world_size) {
    fail(ErrorKind::usage, "reading the launcher's environment: rank ", environment.rank, " of ",
         environment.world_size, " processes cannot be");
  }
  environment.master_address = lookup("MASTER_ADDR").value_or(environment.master_address);
  environment.master_port = number(lookup, "MASTER_PORT").value_or(environment.master_port);
  return environment;
}

LaunchEnvironment read_launch_environment() {
  return read_launch_environment([](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    if (value == nullptr) return std::nullopt;
    return std::string(value);
  });
}

}  // namespace omni::distributed
