// What the trainer prints and writes about its steps.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "omni/core/run_metrics.h"
#include "omni/model/transformer.h"

namespace omni::training {

// Sums over the micro-batches of one or more optimizer steps. What was computed stays on the device until it is
// read: steps do not wait for it.
struct StepSums {
  model::BatchCounts counts;
  at::Tensor losses;  // see model::LossSums; undefined where there was no batch

  void add(const StepSums& other);
  void add_losses(const at::Tensor& others);
};

struct StepContext {
  std::string stage;
  std::int64_t step = 0;
  double progress = 0;  // share of the run, 0 .. 1
  double seconds = 0;
  double learning_rate = 0, gradient_norm = 0;
  std::int64_t tokens = 0;  // since the run began
};

// Averages over `log_steps` steps, then waits for the device and writes a metrics line (losses by modality and by task) and a terminal
// line with the loss of each task, tokens/s and time left. `start_seconds` is the training time already
// spent, by an earlier process of a resumed run.
class StepReport {
 public:
  StepReport(RunMetrics& metrics, std::int64_t log_steps,
             const std::array<double, sequence::kModalityCount>& loss_weights,
             std::vector<std::string> task_names, double start_seconds);
  ~StepReport();  // ends the terminal line
  void add(const StepSums& sums, const StepContext& context, bool last);
  double latest_loss() const { return latest_loss_; }

 private:
  void write(const StepContext& context);
  RunMetrics& metrics_;
  std::int64_t log_steps_;
  std::array<double, sequence::kModalityCount> loss_weights_;
  std::vector<std::string> task_names_;
  StepSums sums_;
  std::int64_t steps_ = 0;
  double window_start_seconds_;
  double latest_loss_ = 0;
  bool terminal_ = false;
  bool line_open_ = false;
  std::chrono::steady_clock::time_point last_plain_line_;
};

}  // namespace omni::training
