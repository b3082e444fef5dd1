#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "memory_parts.h"
#include "omni/core/run_metrics.h"
#include "omni/distributed/collectives.h"
#include "step_sums.h"

namespace omni::training {

// What the trainer prints and writes about its steps.

struct StepContext {
  std::string stage;
  std::int64_t step = 0;
  double progress = 0;  // share of the run, 0 .. 1
  double seconds = 0;
  double learning_rate = 0;
  at::Tensor gradient_norm;  // scalar on the device
  std::int64_t tokens = 0;   // of all ranks, since the run began
  // Of this rank, in this step: the time that it waited for its batches and, on CPUs, that its forward and
  // backward passes took.
  double loader_seconds = 0, compute_seconds = 0;
  MeasuredMemory memory;  // of this rank, so far
  // Of its micro-batches so far, those that were replayed as a graph; nothing where none is to be.
  std::optional<double> replayed_share;
};

// Averages over `log_steps` steps of all ranks, then waits for the device; rank 0 writes a metrics line (losses by
// modality and by task, speed, memory; see docs/training.md) and a terminal line with the loss of each task,
// tokens/s and time left.
class StepReport {
 public:
  // `metrics` is null on all ranks but the first. `start_seconds` is the training time already spent, by an
  // earlier process of a resumed run. `peak_seconds_per_token` is how long a device would take at its peak; 0:
  // not known.
  StepReport(RunMetrics* metrics, std::int64_t log_steps,
             const std::array<double, sequence::kModalityCount>& loss_weights,
             std::vector<std::string> task_names, double start_seconds, distributed::Collectives& collectives,
             at::Device device, double peak_seconds_per_token = 0);
  ~StepReport();  // ends the terminal line
  // This rank's sums of a step. Every rank calls it for every step. Returns whether something was read.
  bool add(const StepSums& sums, const StepContext& context, bool last);
  double latest_loss() const { return latest_loss_; }
  // Time that was spent on something else than steps and must not count in their speed.
  void leave_out(double seconds) { window_start_seconds_ += seconds; }

  // The steps that no line tells of yet, by name, for checkpoints: a report that is restored goes on as if it
  // had never stopped. Every rank calls both; state() is the same on all. Names that are missing stand for zero.
  std::map<std::string, double> state() const;
  void restore(const std::map<std::string, double>& state);

 private:
  // The sums since the last line. Also the compute times, by rank.
  std::pair<StepSums, at::Tensor> of_all_ranks() const;
  // What no two runs agree on.
  std::vector<std::pair<std::string, double>> performance(double tokens_per_second, double elapsed_seconds,
                                                          const at::Tensor& compute_seconds,
                                                          const StepContext& context) const;
  void write(const StepSums& all, const at::Tensor& compute_seconds, const StepContext& context);
  void print(const StepContext& context, double rate, const std::string& losses);

  RunMetrics* metrics_;
  distributed::Collectives* collectives_;
  at::Device device_;
  std::int64_t log_steps_;
  std::array<double, sequence::kModalityCount> loss_weights_;
  std::vector<std::string> task_names_;
  StepSums sums_;
  std::int64_t steps_ = 0;
  double loader_seconds_ = 0, compute_seconds_ = 0;  // of this rank, since the last line
  double peak_seconds_per_token_;
  double window_start_seconds_;
  double latest_loss_ = 0;
  bool terminal_ = false;
  bool line_open_ = false;
  std::chrono::steady_clock::time_point last_plain_line_;
};

}  // namespace omni::training
