#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "omni/core/error.h"
#include "omni/distributed/collectives.h"
#include "omni/kernels/tensor.h"
#include "omni/sequence/document.h"

namespace omni::training {

// What the ranks must know of each other before a step.

// What a rank says before a step. The answer is the same on every rank, so that clocks and signals, which
// differ between them, never make them differ.
struct StepHeader {
  // Of the step's micro-batches, by target modality: this rank's, then those of all.
  std::array<double, sequence::kModalityCount> loss_weights{};
  std::int64_t tokens = 0;   // likewise
  bool interrupted = false;  // the run is to end before the step: on any rank
  bool stopped = false;      // likewise, by whom may start it again
  bool checkpoint = false;   // one is due before the step: on any rank
  double progress = 0;       // of the run before the step: rank 0's

  void note_signal();  // which asks this process to end: `interrupted` or `stopped`
  bool ends() const { return interrupted || stopped; }
  ErrorKind end_kind() const { return interrupted ? ErrorKind::interrupted : ErrorKind::stopped; }
};

class Agreement {
 public:
  // `device` of the collectives' tensors.
  Agreement(distributed::Collectives& collectives, at::Device device);

  // Sends the header of a step, best while the step before it is computed.
  void send(const StepHeader& mine);
  // What all have sent. Waits for the slowest rank.
  StepHeader receive();

 private:
  distributed::Collectives* collectives_;
  at::Device device_;
  at::Tensor values_;
  std::optional<distributed::Pending> call_;
};

}  // namespace omni::training
