#include "omni/distributed/launch_environment.h"

#include <gtest/gtest.h>

#include <map>

#include "omni/core/error.h"

namespace omni::distributed {
namespace {

LaunchEnvironment read(const std::map<std::string, std::string>& variables) {
  return read_launch_environment([&](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    if (found == variables.end()) return std::nullopt;
    return found->second;
  });
}

TEST(LaunchEnvironment, OneProcessAloneIsRankZeroOfOne) {
  const LaunchEnvironment e = read({});
  EXPECT_EQ(e.rank, 0);
  EXPECT_EQ(e.world_size, 1);
  EXPECT_EQ(e.launcher, "none");
}

TEST(LaunchEnvironment, UnderstandsEachLauncher) {
  const LaunchEnvironment torchrun = read({{"RANK", "3"},
                                           {"WORLD_SIZE", "8"},
                                           {"LOCAL_RANK", "1"},
                                           {"MASTER_ADDR", "node0"},
                                           {"MASTER_PORT", "1234"}});
  EXPECT_EQ(torchrun.rank, 3);
  EXPECT_EQ(torchrun.world_size, 8);
  EXPECT_EQ(torchrun.local_rank, 1);
  EXPECT_EQ(torchrun.master_address, "node0");
  EXPECT_EQ(torchrun.master_port, 1234);
  EXPECT_EQ(torchrun.launcher, "torchrun");
  const LaunchEnvironment slurm =
      read({{"SLURM_PROCID", "2"}, {"SLURM_NTASKS", "4"}, {"SLURM_LOCALID", "2"}});
  EXPECT_EQ(slurm.rank, 2);
  EXPECT_EQ(slurm.launcher, "slurm");
  const LaunchEnvironment mpi = read({{"OMPI_COMM_WORLD_RANK", "0"}, {"OMPI_COMM_WORLD_SIZE", "2"}});
  EXPECT_EQ(mpi.world_size, 2);
  EXPECT_EQ(mpi.launcher, "openmpi");
  // torchrun inside a Slurm job sets both; its own variables count.
  EXPECT_EQ(read({{"RANK", "1"}, {"WORLD_SIZE", "2"}, {"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "1"}}).launcher,
            "torchrun");
}

TEST(LaunchEnvironment, RefusesValuesThatCannotBe) {
  EXPECT_THROW(read({{"RANK", "x"}, {"WORLD_SIZE", "2"}}), Error);
  EXPECT_THROW(read({{"RANK", "2"}, {"WORLD_SIZE", "2"}}), Error);
  EXPECT_THROW(read({{"RANK", "-1"}, {"WORLD_SIZE", "2"}}), Error);
  EXPECT_THROW(read({{"RANK", "0"}}), Error);
  EXPECT_THROW(read({{"RANK", "0"}, {"WORLD_SIZE", "0"}}), Error);
}

}  // namespace
}  // namespace omni::distributed
