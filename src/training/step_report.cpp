#include "step_report.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "omni/core/progress.h"
#include "omni/sequence/document.h"

namespace omni::training {

void StepSums::add(const StepSums& other) {
  counts.add(other.counts);
  if (other.losses.defined()) add_losses(other.losses);
}

void StepSums::add_losses(const at::Tensor& others) { losses = losses.defined() ? losses + others : others; }

StepReport::StepReport(RunMetrics* metrics, std::int64_t log_steps,
                       const std::array<double, sequence::kModalityCount>& loss_weights,
                       std::vector<std::string> task_names, double start_seconds,
                       distributed::Collectives& collectives, at::Device device)
    : metrics_(metrics),
      collectives_(&collectives),
      device_(device),
      log_steps_(log_steps),
      loss_weights_(loss_weights),
      task_names_(std::move(task_names)),
      window_start_seconds_(start_seconds),
      terminal_(::isatty(STDERR_FILENO) != 0) {}

StepReport::~StepReport() {
  if (line_open_) std::fputc('\n', stderr);
}

bool StepReport::add(const StepSums& sums, const StepContext& context, bool last) {
  sums_.add(sums);
  ++steps_;
  if (steps_ < log_steps_ && !last) return false;
  const StepSums all = of_all_ranks();
  if (metrics_ != nullptr) write(all, context);
  sums_ = {};
  steps_ = 0;
  window_start_seconds_ = context.seconds;
  return true;
}

// Counts and losses as one row of numbers, which the ranks add up.
StepSums StepReport::of_all_ranks() const {
  if (collectives_->size() == 1) return sums_;
  const auto tasks = static_cast<std::int64_t>(task_names_.size());
  const std::int64_t counted = 1 + 2 * sequence::kModalityCount + tasks;
  at::Tensor row =
      at::zeros({counted + 2 * static_cast<std::int64_t>(sequence::kModalityCount) + tasks}, at::kDouble);
  double* number = row.mutable_data_ptr<double>();
  *number++ = static_cast<double>(sums_.counts.tokens);
  for (const double weight : sums_.counts.weights) *number++ = weight;
  for (const std::int64_t targets : sums_.counts.targets) *number++ = static_cast<double>(targets);
  for (std::size_t t = 0; t < sums_.counts.task_weights.size(); ++t) number[t] = sums_.counts.task_weights[t];
  if (sums_.losses.defined()) row.narrow(0, counted, sums_.losses.size(0)).copy_(sums_.losses);
  const at::Tensor added = row.to(device_);
  collectives_->all_reduce(added).wait();
  row = added.cpu();
  StepSums all;
  const double* read = row.const_data_ptr<double>();
  all.counts.tokens = static_cast<std::int64_t>(*read++);
  for (double& weight : all.counts.weights) weight = *read++;
  for (std::int64_t& targets : all.counts.targets) targets = static_cast<std::int64_t>(*read++);
  all.counts.task_weights.assign(read, read + tasks);
  all.losses = row.narrow(0, counted, row.size(0) - counted);
  return all;
}

void StepReport::write(const StepSums& all, const StepContext& c) {
  const double elapsed = std::max(1e-9, c.seconds - window_start_seconds_);
  const double rate = static_cast<double>(all.counts.tokens) / elapsed;
  std::vector<std::pair<std::string, double>> numbers{{"step", static_cast<double>(c.step)},
                                                      {"progress", c.progress}};
  latest_loss_ = 0;
  std::string losses;
  const model::LossSums sums = model::LossSums::read(all.losses);
  const model::BatchCounts& counts = all.counts;
  for (std::size_t m = 0; m < sequence::kModalityCount; ++m) {
    if (counts.targets[m] == 0) continue;
    const std::string name(sequence::modality_name(static_cast<sequence::Modality>(m)));
    const double loss = sums.cross_entropy[m] / counts.weights[m];
    latest_loss_ += loss_weights_[m] * loss;
    numbers.emplace_back("loss_" + name, loss);
    numbers.emplace_back("accuracy_" + name,
                         static_cast<double>(sums.correct[m]) / static_cast<double>(counts.targets[m]));
  }
  for (std::size_t t = 0; t < counts.task_weights.size(); ++t) {
    if (counts.task_weights[t] <= 0) continue;
    const double loss = sums.task_cross_entropy[t] / counts.task_weights[t];
    numbers.emplace_back("loss " + task_names_.at(t), loss);
    char text[24];
    std::snprintf(text, sizeof text, " %.3f", loss);
    losses += ", " + task_names_[t] + text;
  }
  numbers.insert(numbers.end(), {{"loss", latest_loss_},
                                 {"tokens_per_second", rate},
                                 {"tokens", static_cast<double>(c.tokens)},
                                 {"learning_rate", c.learning_rate},
                                 {"gradient_norm", c.gradient_norm.item<double>()},
                                 {"seconds", c.seconds}});
  metrics_->write(numbers, {{"stage", c.stage}});
  print(c, rate, losses);
}

void StepReport::print(const StepContext& c, double rate, const std::string& losses) {
  const auto now = std::chrono::steady_clock::now();
  const bool done = c.progress >= 1;
  if (!terminal_ && !done && now - last_plain_line_ < std::chrono::seconds(10)) return;
  last_plain_line_ = now;
  const double left = c.progress > 0 ? c.seconds * (1 - c.progress) / c.progress : 0;
  char start[160];
  std::snprintf(start, sizeof start, "%s step %lld (%.0f %%): %.0f tokens/s, %s left, loss %.3f",
                c.stage.c_str(), static_cast<long long>(c.step), 100 * std::min(1.0, c.progress), rate,
                format_duration(done ? 0 : left).c_str(), latest_loss_);
  const std::string line = start + losses;
  if (terminal_)
    std::fprintf(stderr, "\r\033[K%s", line.substr(0, terminal_columns() - 1).c_str());
  else
    std::fprintf(stderr, "%s\n", line.c_str());
  line_open_ = terminal_;
}

}  // namespace omni::training
