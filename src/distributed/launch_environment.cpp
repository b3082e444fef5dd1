#include "omni/distributed/launch_environment.h"

#include <algorithm>
#include <cstdlib>
#include <limits>

#include "omni/core/error.h"
#include "omni/core/number.h"
#include "omni/core/random.h"
#include "omni/core/system_info.h"
#include "slurm_lists.h"

namespace omni::distributed {
namespace {

constexpr const char* kReading = "reading the launcher's environment: ";
constexpr int kMostRanks = 1 << 20;

int parse(const std::string& name, std::string_view text, int minimum, int maximum) {
  int value = 0;
  const std::string wrong =
      read_number(text, {static_cast<double>(minimum), static_cast<double>(maximum)}, value);
  if (!wrong.empty()) fail(ErrorKind::usage, kReading, name, " ", wrong);
  return value;
}

// The variables of one process, as numbers and words.
class Variables {
 public:
  explicit Variables(const VariableLookup& lookup) : lookup_(lookup) {}
  std::optional<std::string> text(const std::string& name) const { return lookup_(name); }
  bool has(const std::string& name) const { return lookup_(name).has_value(); }
  std::optional<int> number(const std::string& name, int minimum = 0, int maximum = kMostRanks) const {
    const std::optional<std::string> value = lookup_(name);
    if (!value) return std::nullopt;
    return parse(name, *value, minimum, maximum);
  }
  int required(const std::string& name, std::string_view because) const {
    const std::optional<int> value = number(name);
    if (!value) fail(ErrorKind::usage, kReading, name, " is not set, but ", because, " is");
    return *value;
  }

 private:
  const VariableLookup& lookup_;
};

bool is_this_host(const std::string& address) {
  return address == "localhost" || address == "::1" || address.starts_with("127.");
}

// A port that two runs at a time on one host rarely share, the same on each rank of one run. Below the ports
// that systems give to outgoing connections.
int derived_port(const std::string& run) {
  constexpr int kFirst = 20000, kCount = 10000;
  return kFirst + static_cast<int>(hash_string(run) % kCount);
}

void read_rank(const Variables& variables, const char* rank, const char* world_size,
               LaunchEnvironment& launch) {
  launch.rank = variables.required(rank, world_size);
  launch.world_size = variables.required(world_size, rank);
  if (launch.world_size < 1 || launch.rank >= launch.world_size)
    fail(ErrorKind::usage, kReading, rank, "=", launch.rank, " and ", world_size, "=", launch.world_size,
         " cannot be: ranks run from 0 to one less than their number");
}

void read_local(const Variables& variables, const char* rank, const char* size, LaunchEnvironment& launch) {
  launch.local_rank = variables.required(rank, "the rank");
  launch.local_size = variables.number(size).value_or(launch.local_rank + 1);
  if (launch.local_rank >= launch.local_size || launch.local_size > launch.world_size)
    fail(ErrorKind::usage, kReading, rank, "=", launch.local_rank, " and ", size, "=", launch.local_size,
         " cannot be in a run of ", launch.world_size, " ranks");
}

// Where the launcher names no host for rank 0, it has to be this one.
void need_one_host(const LaunchEnvironment& launch) {
  if (launch.local_size == launch.world_size) return;
  fail(ErrorKind::usage, kReading, launch.launcher, " started ", launch.world_size, " ranks, ",
       launch.local_size, " of them on this host, and MASTER_ADDR is not set. Set it to the host of rank 0 ",
       "on every rank");
}

void read_plain(const Variables& variables, LaunchEnvironment& launch) {
  launch.launcher = "variables";
  read_rank(variables, "RANK", "WORLD_SIZE", launch);
  const bool one_host = is_this_host(variables.text("MASTER_ADDR").value_or(launch.master_address));
  if (variables.has("LOCAL_RANK")) {
    read_local(variables, "LOCAL_RANK", "LOCAL_WORLD_SIZE", launch);
  } else if (one_host) {
    launch.local_rank = launch.rank;
    launch.local_size = launch.world_size;
  }
  if (variables.has("OMNI_LAUNCHER")) {
    launch.launcher = "omni";
    launch.launcher_serves_store = true;
  } else if (const std::optional<int> restarts = variables.number("TORCHELASTIC_RESTART_COUNT")) {
    launch.launcher = "torchrun";
    launch.launcher_serves_store = variables.text("TORCHELASTIC_USE_AGENT_STORE") == "True";
    launch.store_prefix = concat("omni/attempt_", *restarts);
    launch.resume_by_default = true;
  }
}

void read_openmpi(const Variables& variables, LaunchEnvironment& launch) {
  launch.launcher = "openmpi";
  read_rank(variables, "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", launch);
  read_local(variables, "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE", launch);
  if (const auto name = variables.text("PMIX_NAMESPACE")) launch.master_port = derived_port(*name);
  if (!variables.has("MASTER_ADDR")) need_one_host(launch);
}

void read_pmi(const Variables& variables, LaunchEnvironment& launch) {
  launch.launcher = variables.has("MPI_LOCALRANKID") ? "mpich" : "pmi";
  read_rank(variables, "PMI_RANK", "PMI_SIZE", launch);
  if (variables.has("MPI_LOCALRANKID")) read_local(variables, "MPI_LOCALRANKID", "MPI_LOCALNRANKS", launch);
  if (!variables.has("MASTER_ADDR")) need_one_host(launch);
}

void read_slurm(const Variables& variables, LaunchEnvironment& launch) {
  launch.launcher = "slurm";
  read_rank(variables, "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", launch);
  if (launch.world_size == 1) return;
  launch.local_rank = variables.required("SLURM_LOCALID", "SLURM_PROCID");
  const std::string tasks = "SLURM_STEP_TASKS_PER_NODE", nodes = "SLURM_STEP_NODELIST";
  const auto text = [&](const std::string& name) {
    const std::optional<std::string> value = variables.text(name);
    if (!value) fail(ErrorKind::usage, kReading, name, " is not set, but SLURM_PROCID is");
    return *value;
  };
  launch.local_size = count_of_node(text(tasks), variables.number("SLURM_NODEID").value_or(0), tasks);
  if (launch.local_rank >= launch.local_size || launch.local_size > launch.world_size)
    fail(ErrorKind::usage, kReading, "SLURM_LOCALID=", launch.local_rank, " and ", tasks, "=", text(tasks),
         " cannot be in a step of ", launch.world_size, " tasks");
  if (!variables.has("MASTER_ADDR")) launch.master_address = first_host(text(nodes), nodes);
  launch.master_port = derived_port(
      concat(variables.text("SLURM_JOB_ID").value_or(""), ".", variables.text("SLURM_STEP_ID").value_or("")));
}

}  // namespace

LaunchEnvironment read_launch_environment(const VariableLookup& lookup) {
  const Variables variables(lookup);
  LaunchEnvironment launch;
  launch.host = host_name();
  if (launch.host.empty()) launch.host = "localhost";
  // mpirun and mpiexec start their helpers with srun inside a Slurm job, and what those leave in the
  // environment describes the helpers: Slurm comes after them. Its own step sets PMI_RANK, too.
  if (variables.has("RANK") || variables.has("WORLD_SIZE"))
    read_plain(variables, launch);
  else if (variables.has("OMPI_COMM_WORLD_RANK") || variables.has("OMPI_COMM_WORLD_SIZE"))
    read_openmpi(variables, launch);
  else if (variables.has("PMI_RANK") && variables.has("MPI_LOCALRANKID"))
    read_pmi(variables, launch);
  else if (variables.has("SLURM_STEP_NUM_TASKS"))
    read_slurm(variables, launch);
  else if (variables.has("PMI_RANK"))
    read_pmi(variables, launch);
  launch.master_address = variables.text("MASTER_ADDR").value_or(launch.master_address);
  constexpr int kMostPorts = std::numeric_limits<std::uint16_t>::max();
  launch.master_port = variables.number("MASTER_PORT", 1, kMostPorts).value_or(launch.master_port);
  if (launch.master_address.empty()) fail(ErrorKind::usage, kReading, "MASTER_ADDR is empty");
  return launch;
}

VariableLookup process_variables() {
  return [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    if (value == nullptr) return std::nullopt;
    return std::string(value);
  };
}

LaunchEnvironment read_launch_environment() { return read_launch_environment(process_variables()); }

int threads_per_rank(const LaunchEnvironment& launch, int cores, const VariableLookup& lookup) {
  const std::string name = "OMP_NUM_THREADS";
  if (const std::optional<std::string> set = lookup(name)) {
    constexpr int kMostThreads = 4096;
    // A list has an entry for each level of nesting; the first is the outermost.
    return parse(name, std::string_view(*set).substr(0, set->find(',')), 1, kMostThreads);
  }
  return std::max(1, cores / launch.local_size);
}

int device_index(const LaunchEnvironment& launch, int visible_devices) {
  const bool sees_its_own =
      visible_devices == 1 && launch.launcher != "omni" && launch.launcher != "torchrun";
  if (sees_its_own) return 0;
  if (launch.local_size > visible_devices)
    fail(ErrorKind::usage, launch.launcher, " started ", launch.local_size, " ranks on ", launch.host,
         ", which shows ", visible_devices, visible_devices == 1 ? " GPU" : " GPUs",
         ". Start as many ranks on each host as it has GPUs");
  return launch.local_rank;
}

}  // namespace omni::distributed
