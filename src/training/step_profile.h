#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>

#include "omni/training/trainer.h"

namespace omni::training {

// A timeline of some steps of a rank: a file of Chrome's trace events (one JSON object), which Perfetto and
// chrome://tracing show. It holds what LibTorch tells its observers, on every thread of the process: our own ranges
// (kernels::ProfiledRange), ATen's operators and autograd's nodes. Nothing is observed, and nothing costs time, before
// the first and after the last of the steps.
class StepProfile {
 public:
  // Of 32 bytes each: what comes later is counted, not kept, and the file says so.
  static constexpr std::size_t kMostEvents = std::size_t{1} << 21;

  // Writes `path` after the last of the steps. A process can be observed by one profile at a time.
  StepProfile(StepRange steps, std::filesystem::path path, int rank, std::size_t most_events = kMostEvents);
  ~StepProfile();  // ends without writing what is not written yet
  StepProfile(const StepProfile&) = delete;
  StepProfile& operator=(const StepProfile&) = delete;

  // Around everything that belongs to a step, with its number (from 1). end() throws Error(io).
  void begin(std::int64_t step);
  void end(std::int64_t step);
  // When there will be no more steps: writes what there is. A warning tells of steps that were not taken.
  void finish();

 private:
  struct Recording;  // the events so far
  struct Observers;  // what LibTorch calls
  void write();

  StepRange steps_;
  std::filesystem::path path_;
  int rank_;
  std::shared_ptr<Recording> recording_;
  std::unique_ptr<Observers> observers_;
  std::int64_t step_begun_ = 0, last_ended_ = 0;
  bool written_ = false;
};

}  // namespace omni::training
