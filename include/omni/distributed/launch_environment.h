#pragma once

#include <functional>
#include <optional>
#include <string>

namespace omni::distributed {

// Which process of a run this is. One process alone is rank 0 of 1.
struct LaunchEnvironment {
  int rank = 0, world_size = 1;
  int local_rank = 0;
  std::string master_address = "127.0.0.1";
  int master_port = 29500;
  std::string launcher = "none";  // torchrun, slurm, openmpi or none
};

// Reads the variables of torchrun (RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT), else Slurm's
// (SLURM_PROCID, SLURM_NTASKS, SLURM_LOCALID), else Open MPI's (OMPI_COMM_WORLD_*). `lookup` returns a
// variable's value, or nothing if it is not set. Throws Error(usage) for values that are no numbers or
// contradict each other.
LaunchEnvironment read_launch_environment(
    const std::function<std::optional<std::string>(const std::string&)>& lookup);
LaunchEnvironment read_launch_environment();  // from the process environment

}  // namespace omni::distributed
