#pragma once

#include <ATen/core/Tensor.h>

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "omni/distributed/collectives.h"
#include "omni/distributed/launch_environment.h"

namespace omni::distributed {

struct RankTimes {
  std::chrono::milliseconds start = std::chrono::minutes(10);  // for all ranks to come
  std::chrono::milliseconds call = std::chrono::minutes(10);   // for all ranks to come to a collective call
  std::chrono::milliseconds heartbeat = std::chrono::seconds(1);
  std::chrono::milliseconds silence = std::chrono::seconds(30);  // after which a rank counts as lost
  std::chrono::milliseconds grace = std::chrono::seconds(5);     // from a failure to the end of the process
};

// What must be equal on every rank: "config" and the hash of it, say.
struct Fingerprint {
  std::string name, value;
};

// This process among the ranks of its run.
class Ranks {
 public:
  virtual ~Ranks() = default;
  virtual Collectives& collectives() = 0;
  // Compares what must be equal; every rank calls it with the same names. Throws Error(usage) on every rank,
  // which says for the first that is not equal what which ranks have.
  virtual void compare(const std::vector<Fingerprint>& mine) = 0;
  // Every rank calls it with the same name, which no other call has, from one thread of its own choice. Returns
  // what they say in the order of the ranks on rank 0, nothing elsewhere. Throws Error(io) where one does not
  // come within the time-out of a call, and what the run has failed of meanwhile.
  virtual std::vector<std::string> gather(const std::string& name, const std::string& mine) = 0;
};

// Meets the other ranks, runs `work` and leaves them. One process alone runs it as it is: no store, no thread.
//
// A rank that dies, hangs, is frozen, cannot be reached or whose work throws ends all of them within the
// times: on each of them run_ranks throws one and the same Error, which names the rank at fault, its host and
// the reason. Where `work` does not return within the grace after that (it hangs), the process says it and
// ends with that error's exit code. A work that was stopped or interrupted (ErrorKind) ends its rank alone: all
// are expected to stop after the same step. All ranks run the same program, which is compared, too.
//
// `device`: of the collectives' tensors, a CPU (Gloo) or this rank's GPU (NCCL).
void run_ranks(const LaunchEnvironment& launch, at::Device device, const RankTimes& times,
               const std::function<void(Ranks&)>& work);

}  // namespace omni::distributed
