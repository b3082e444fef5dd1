#pragma once

#include <functional>
#include <optional>
#include <string>

namespace omni::distributed {

// Which process of a run this is, and where it meets the others. One process alone is rank 0 of 1.
struct LaunchEnvironment {
  // What started it: omni (--devices), torchrun, variables, openmpi, mpich, slurm, pmi or none.
  std::string launcher = "none";
  int rank = 0, world_size = 1;        // among all processes of the run
  int local_rank = 0, local_size = 1;  // among those of this host
  std::string host;                    // this one's name
  // Of the store through which the ranks find each other.
  std::string master_address = "127.0.0.1";
  int master_port = 29500;
  bool launcher_serves_store = false;  // else rank 0 does
  std::string store_prefix = "omni";   // another one after each restart by the same launcher
  // The launcher runs the same command again after a failure, so a run that is there is gone on with.
  bool resume_by_default = false;
};

// The value of a variable, or nothing where it is not set.
using VariableLookup = std::function<std::optional<std::string>(const std::string& name)>;
VariableLookup process_variables();

// Reads what the launcher says, of the first of these that is there:
//   RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE: omni itself, torchrun (TORCHELASTIC_*, whose agent may
//     serve the store), or plain variables. Without LOCAL_RANK the ranks are one per host, or all on this one
//     where the master is this host by the name localhost or 127.*.
//   OMPI_COMM_WORLD_*: Open MPI's mpirun, also inside a Slurm job.
//   PMI_RANK, PMI_SIZE, MPI_LOCALRANKID, MPI_LOCALNRANKS: MPICH's and Intel's mpiexec.
//   SLURM_PROCID, SLURM_STEP_*: srun. The step's variables count; a shell in an allocation is one process.
//   PMI_RANK, PMI_SIZE alone.
// MASTER_ADDR and MASTER_PORT win over the launcher's own address (Slurm: the step's first node, and a port
// derived from job and step). Throws Error(usage), which names the variable, for what is missing, is no
// number or contradicts the rest.
LaunchEnvironment read_launch_environment(const VariableLookup& lookup);
LaunchEnvironment read_launch_environment();  // from the process environment

// Threads for this rank: OMP_NUM_THREADS, else its share of `cores`, at least 1. Throws Error(usage).
int threads_per_rank(const LaunchEnvironment& launch, int cores, const VariableLookup& lookup);

// Which of the GPUs that this process sees is this rank's: the one of its local rank, or the only one where
// the launcher shows each rank its own. Throws Error(usage) where this host has fewer GPUs than ranks.
int device_index(const LaunchEnvironment& launch, int visible_devices);

}  // namespace omni::distributed
