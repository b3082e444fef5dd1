#include "omni/distributed/launch_environment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "omni/core/error.h"

namespace omni::distributed {
namespace {

using Table = std::map<std::string, std::string>;

VariableLookup lookup_in(const Table& variables) {
  return [variables](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    if (found == variables.end()) return std::nullopt;
    return found->second;
  };
}
LaunchEnvironment read(const Table& variables) { return read_launch_environment(lookup_in(variables)); }
Table with(Table variables, const Table& more) {
  for (const auto& [name, value] : more) variables[name] = value;
  return variables;
}
std::string refusal(const Table& variables) {
  try {
    read(variables);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    return error.what();
  }
  return "accepted";
}

// What each launcher sets, as their manuals list it.
const Table kTorchrun = {{"RANK", "5"},
                         {"WORLD_SIZE", "8"},
                         {"LOCAL_RANK", "1"},
                         {"LOCAL_WORLD_SIZE", "4"},
                         {"MASTER_ADDR", "node0"},
                         {"MASTER_PORT", "1234"},
                         {"TORCHELASTIC_RESTART_COUNT", "2"},
                         {"TORCHELASTIC_USE_AGENT_STORE", "True"},
                         {"TORCHELASTIC_RUN_ID", "none"}};
const Table kSlurm = {{"SLURM_PROCID", "6"},
                      {"SLURM_LOCALID", "2"},
                      {"SLURM_NODEID", "1"},
                      {"SLURM_JOB_ID", "4711"},
                      {"SLURM_STEP_ID", "3"},
                      {"SLURM_STEP_NUM_TASKS", "11"},
                      {"SLURM_STEP_TASKS_PER_NODE", "4(x2),3"},
                      {"SLURM_STEP_NODELIST", "gpu[003-004,9]"},
                      // The allocation is larger than the step.
                      {"SLURM_NTASKS", "64"},
                      {"SLURM_NODELIST", "gpu[001-016]"},
                      {"PMI_RANK", "6"},
                      {"PMI_SIZE", "11"}};
const Table kOpenMpi = {{"OMPI_COMM_WORLD_RANK", "3"},
                        {"OMPI_COMM_WORLD_SIZE", "4"},
                        {"OMPI_COMM_WORLD_LOCAL_RANK", "3"},
                        {"OMPI_COMM_WORLD_LOCAL_SIZE", "4"},
                        {"PMIX_NAMESPACE", "prterun-host-1234@1"}};
const Table kMpich = {
    {"PMI_RANK", "1"}, {"PMI_SIZE", "2"}, {"MPI_LOCALRANKID", "1"}, {"MPI_LOCALNRANKS", "2"}};

TEST(DistributedLaunch, OneProcessAloneIsRankZeroOfOne) {
  const LaunchEnvironment e = read({});
  EXPECT_EQ(e.rank, 0);
  EXPECT_EQ(e.world_size, 1);
  EXPECT_EQ(e.local_size, 1);
  EXPECT_EQ(e.launcher, "none");
  EXPECT_FALSE(e.resume_by_default);
  EXPECT_FALSE(e.host.empty());
}

TEST(DistributedLaunch, UnderstandsTorchrunAndItsElasticAgent) {
  const LaunchEnvironment e = read(kTorchrun);
  EXPECT_EQ(e.launcher, "torchrun");
  EXPECT_EQ(e.rank, 5);
  EXPECT_EQ(e.world_size, 8);
  EXPECT_EQ(e.local_rank, 1);
  EXPECT_EQ(e.local_size, 4);
  EXPECT_EQ(e.master_address, "node0");
  EXPECT_EQ(e.master_port, 1234);
  EXPECT_TRUE(e.launcher_serves_store);
  EXPECT_TRUE(e.resume_by_default);
  // What a killed attempt left in the agent's store must not be met again.
  EXPECT_NE(e.store_prefix, read(with(kTorchrun, {{"TORCHELASTIC_RESTART_COUNT", "3"}})).store_prefix);
  EXPECT_FALSE(read(with(kTorchrun, {{"TORCHELASTIC_USE_AGENT_STORE", "False"}})).launcher_serves_store);
}

TEST(DistributedLaunch, UnderstandsPlainVariables) {
  const LaunchEnvironment local = read({{"RANK", "1"}, {"WORLD_SIZE", "2"}});
  EXPECT_EQ(local.launcher, "variables");
  EXPECT_EQ(local.local_rank, 1);
  EXPECT_EQ(local.local_size, 2);
  EXPECT_FALSE(local.launcher_serves_store);
  EXPECT_FALSE(local.resume_by_default);
  const LaunchEnvironment spread = read({{"RANK", "1"}, {"WORLD_SIZE", "2"}, {"MASTER_ADDR", "node0"}});
  EXPECT_EQ(spread.local_rank, 0);
  EXPECT_EQ(spread.local_size, 1);
}

TEST(DistributedLaunch, TakesTheStepOfSlurmNotTheAllocation) {
  const LaunchEnvironment e = read(kSlurm);
  EXPECT_EQ(e.launcher, "slurm");
  EXPECT_EQ(e.rank, 6);
  EXPECT_EQ(e.world_size, 11);
  EXPECT_EQ(e.local_rank, 2);
  EXPECT_EQ(e.local_size, 4);
  EXPECT_EQ(e.master_address, "gpu003");
  // The same for each rank of the step, another for the next.
  EXPECT_EQ(e.master_port, read(with(kSlurm, {{"SLURM_PROCID", "0"}, {"SLURM_LOCALID", "0"}})).master_port);
  EXPECT_NE(e.master_port, read(with(kSlurm, {{"SLURM_STEP_ID", "4"}})).master_port);
  EXPECT_GE(e.master_port, 1024);
  EXPECT_LE(e.master_port, 65535);
  EXPECT_EQ(read(with(kSlurm, {{"MASTER_PORT", "5000"}})).master_port, 5000);
  EXPECT_EQ(read(with(kSlurm, {{"MASTER_ADDR", "gpu009"}})).master_address, "gpu009");
  // A batch script or a shell in an allocation of many tasks is one process.
  EXPECT_EQ(read({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "8"}, {"SLURM_LOCALID", "0"}}).world_size, 1);
}

TEST(DistributedLaunch, UnderstandsMpirun) {
  const LaunchEnvironment open = read(kOpenMpi);
  EXPECT_EQ(open.launcher, "openmpi");
  EXPECT_EQ(open.rank, 3);
  EXPECT_EQ(open.world_size, 4);
  EXPECT_EQ(open.local_rank, 3);
  EXPECT_EQ(open.local_size, 4);
  EXPECT_EQ(open.master_address, "127.0.0.1");
  const LaunchEnvironment mpich = read(kMpich);
  EXPECT_EQ(mpich.launcher, "mpich");
  EXPECT_EQ(mpich.rank, 1);
  EXPECT_EQ(mpich.local_size, 2);
  const Table spread = with(kOpenMpi, {{"OMPI_COMM_WORLD_SIZE", "8"}});
  EXPECT_THAT(refusal(spread), testing::HasSubstr("MASTER_ADDR"));
  EXPECT_EQ(read(with(spread, {{"MASTER_ADDR", "node0"}})).master_address, "node0");
}

TEST(DistributedLaunch, TheInnermostLauncherCounts) {
  EXPECT_EQ(read(with(kSlurm, kTorchrun)).launcher, "torchrun");
  EXPECT_EQ(read(with(kSlurm, kOpenMpi)).launcher, "openmpi");
  EXPECT_EQ(read(with(kSlurm, kMpich)).launcher, "mpich");
}

TEST(DistributedLaunch, NamesTheVariableThatIsWrong) {
  const struct {
    Table base, change;
    const char* named;
  } kCases[] = {
      {kTorchrun, {{"RANK", "x"}}, "RANK"},
      {kTorchrun, {{"RANK", "8"}}, "RANK"},
      {kTorchrun, {{"RANK", "-1"}}, "RANK"},
      {kTorchrun, {{"RANK", ""}}, "RANK"},
      {kTorchrun, {{"WORLD_SIZE", "0"}}, "WORLD_SIZE"},
      {kTorchrun, {{"WORLD_SIZE", "99999999999999"}}, "WORLD_SIZE"},
      {kTorchrun, {{"LOCAL_RANK", "4"}}, "LOCAL_RANK"},
      {kTorchrun, {{"LOCAL_WORLD_SIZE", "9"}}, "LOCAL_WORLD_SIZE"},
      {kTorchrun, {{"MASTER_PORT", "0"}}, "MASTER_PORT"},
      {kTorchrun, {{"MASTER_PORT", "65536"}}, "MASTER_PORT"},
      {kTorchrun, {{"MASTER_ADDR", ""}}, "MASTER_ADDR"},
      {kTorchrun, {{"TORCHELASTIC_RESTART_COUNT", "one"}}, "TORCHELASTIC_RESTART_COUNT"},
      {{}, {{"RANK", "0"}}, "WORLD_SIZE"},
      {{}, {{"WORLD_SIZE", "2"}}, "RANK"},
      {kSlurm, {{"SLURM_PROCID", "11"}}, "SLURM_PROCID"},
      {kSlurm, {{"SLURM_LOCALID", "4"}}, "SLURM_LOCALID"},
      {kSlurm, {{"SLURM_NODEID", "3"}}, "SLURM_STEP_TASKS_PER_NODE"},
      {kSlurm, {{"SLURM_STEP_NODELIST", "gpu["}}, "SLURM_STEP_NODELIST"},
      {kOpenMpi, {{"OMPI_COMM_WORLD_SIZE", "two"}}, "OMPI_COMM_WORLD_SIZE"},
      {kMpich, {{"MPI_LOCALNRANKS", "1"}}, "MPI_LOCALNRANKS"},
  };
  for (const auto& one : kCases)
    EXPECT_THAT(refusal(with(one.base, one.change)), testing::HasSubstr(one.named)) << one.named;
}

TEST(DistributedLaunch, SharesCoresAndDevicesAmongTheRanksOfAHost) {
  LaunchEnvironment launch;
  launch.local_size = 4;
  launch.local_rank = 2;
  EXPECT_EQ(threads_per_rank(launch, 16, lookup_in({})), 4);
  EXPECT_EQ(threads_per_rank(launch, 2, lookup_in({})), 1);
  EXPECT_EQ(threads_per_rank(launch, 16, lookup_in({{"OMP_NUM_THREADS", "3"}})), 3);
  EXPECT_EQ(threads_per_rank(launch, 16, lookup_in({{"OMP_NUM_THREADS", "3,2"}})), 3);
  EXPECT_THROW(threads_per_rank(launch, 16, lookup_in({{"OMP_NUM_THREADS", "0"}})), Error);
  EXPECT_THROW(threads_per_rank(launch, 16, lookup_in({{"OMP_NUM_THREADS", "many"}})), Error);
  launch.launcher = "torchrun";
  EXPECT_EQ(device_index(launch, 4), 2);
  EXPECT_EQ(device_index(launch, 8), 2);
  EXPECT_THROW(device_index(launch, 2), Error);
  EXPECT_THROW(device_index(launch, 1), Error);
  launch.launcher = "slurm";  // srun --gpus-per-task=1
  EXPECT_EQ(device_index(launch, 1), 0);
}

}  // namespace
}  // namespace omni::distributed
