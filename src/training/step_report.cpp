#include "step_report.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "omni/core/progress.h"
#include "omni/sequence/document.h"

namespace omni::training {

StepReport::StepReport(RunMetrics* metrics, std::int64_t log_steps,
                       const std::array<double, sequence::kModalityCount>& loss_weights,
                       std::vector<std::string> task_names, double start_seconds,
                       distributed::Collectives& collectives, at::Device device,
                       double peak_seconds_per_token)
    : metrics_(metrics),
      collectives_(&collectives),
      device_(device),
      log_steps_(log_steps),
      loss_weights_(loss_weights),
      task_names_(std::move(task_names)),
      peak_seconds_per_token_(peak_seconds_per_token),
      window_start_seconds_(start_seconds),
      terminal_(::isatty(STDERR_FILENO) != 0) {}

StepReport::~StepReport() {
  if (line_open_) std::fputc('\n', stderr);
}

bool StepReport::add(const StepSums& sums, const StepContext& context, bool last) {
  sums_.add(sums);
  ++steps_;
  loader_seconds_ += context.loader_seconds;
  compute_seconds_ += context.compute_seconds;
  if (steps_ < log_steps_ && !last) return false;
  const auto [all, compute_seconds] = of_all_ranks();
  if (metrics_ != nullptr) write(all, compute_seconds, context);
  sums_ = {};
  steps_ = 0;
  loader_seconds_ = compute_seconds_ = 0;
  window_start_seconds_ = context.seconds;
  return true;
}

std::pair<StepSums, at::Tensor> StepReport::of_all_ranks() const {
  const int ranks = collectives_->size();
  at::Tensor compute_seconds = at::zeros({ranks}, at::kDouble);
  compute_seconds[collectives_->rank()] = compute_seconds_;
  if (ranks == 1) return {sums_, compute_seconds};
  const at::Tensor added = at::concat({sums_.row(task_names_.size()), compute_seconds}).to(device_);
  collectives_->all_reduce(added).wait();
  const at::Tensor read = added.cpu();
  const std::int64_t own = read.size(0) - ranks;
  return {StepSums::from_row(read.narrow(0, 0, own), task_names_.size()), read.narrow(0, own, ranks)};
}

std::map<std::string, double> StepReport::state() const {
  std::map<std::string, double> state = {{"log.steps", static_cast<double>(steps_)},
                                         {"log.start_seconds", window_start_seconds_},
                                         {"log.latest_loss", latest_loss_}};
  if (steps_ == 0) return state;
  const std::vector<std::string> names = sum_names(task_names_);
  const at::Tensor own = sums_.row(task_names_.size()).to(device_);
  const at::Tensor rows = at::empty({collectives_->size() * own.size(0)}, own.options());
  collectives_->all_gather(own, rows).wait();
  const at::Tensor read = rows.cpu();
  for (int rank = 0; rank < collectives_->size(); ++rank)
    for (std::size_t i = 0; i < names.size(); ++i)
      state[concat("log.", rank, ".", names[i])] =
          read.const_data_ptr<double>()[static_cast<std::size_t>(rank) * names.size() + i];
  return state;
}

void StepReport::restore(const std::map<std::string, double>& state) {
  const auto number = [&](const std::string& name) {
    const auto found = state.find(name);
    return found == state.end() ? 0.0 : found->second;
  };
  steps_ = static_cast<std::int64_t>(number("log.steps"));
  window_start_seconds_ =
      state.contains("log.start_seconds") ? number("log.start_seconds") : window_start_seconds_;
  latest_loss_ = number("log.latest_loss");
  sums_ = {};
  if (steps_ == 0) return;
  const std::vector<std::string> names = sum_names(task_names_);
  at::Tensor row = at::zeros({static_cast<std::int64_t>(names.size())}, at::kDouble);
  // Ranks that are no more leave theirs to the ones that are.
  for (int rank = collectives_->rank(); state.contains(concat("log.", rank, ".", names.front()));
       rank += collectives_->size())
    for (std::size_t i = 0; i < names.size(); ++i)
      row.mutable_data_ptr<double>()[i] += number(concat("log.", rank, ".", names[i]));
  sums_ = StepSums::from_row(row, task_names_.size());
  if (device_ != at::kCPU) sums_.losses = sums_.losses.to(device_);
}

std::vector<std::pair<std::string, double>> StepReport::performance(double tokens_per_second,
                                                                    double elapsed_seconds,
                                                                    const at::Tensor& compute_seconds,
                                                                    const StepContext& context) const {
  const double per_device = tokens_per_second / collectives_->size();
  std::vector<std::pair<std::string, double>> numbers{{"tokens_per_second", tokens_per_second},
                                                      {"tokens_per_second_per_device", per_device},
                                                      {"loader_wait", loader_seconds_ / elapsed_seconds},
                                                      {"memory_gb", context.memory.total / 1e9}};
  for (const auto& [part, bytes] : context.memory.parts.by_name())
    numbers.emplace_back("memory_gb " + part, bytes / 1e9);
  if (peak_seconds_per_token_ > 0) numbers.emplace_back("mfu", per_device * peak_seconds_per_token_);
  if (context.replayed_share) numbers.emplace_back("replayed_share", *context.replayed_share);
  const auto fastest = compute_seconds.min().item<double>(), slowest = compute_seconds.max().item<double>();
  if (collectives_->size() > 1 && fastest > 0) numbers.emplace_back("step_spread", slowest / fastest);
  return numbers;
}

void StepReport::write(const StepSums& all, const at::Tensor& compute_seconds, const StepContext& c) {
  const double elapsed = std::max(1e-9, c.seconds - window_start_seconds_);
  const double rate = static_cast<double>(all.counts.tokens) / elapsed;
  std::vector<std::pair<std::string, double>> numbers{{"step", static_cast<double>(c.step)},
                                                      {"progress", c.progress}};
  const MeanLosses means = mean_losses(all, loss_weights_);
  latest_loss_ = means.loss;
  for (std::size_t m = 0; m < sequence::kModalityCount; ++m) {
    if (!means.modalities[m]) continue;
    const std::string name(sequence::modality_name(static_cast<sequence::Modality>(m)));
    numbers.emplace_back("loss_" + name, means.modalities[m]->loss);
    numbers.emplace_back("accuracy_" + name, means.modalities[m]->accuracy);
  }
  std::string losses;
  for (std::size_t t = 0; t < means.tasks.size(); ++t) {
    if (!means.tasks[t]) continue;
    numbers.emplace_back("loss " + task_names_.at(t), *means.tasks[t]);
    numbers.emplace_back("tokens_per_step " + task_names_[t],
                         static_cast<double>(all.counts.task_tokens.at(t)) / static_cast<double>(steps_));
    char text[24];
    std::snprintf(text, sizeof text, " %.3f", *means.tasks[t]);
    losses += ", " + task_names_[t] + text;
  }
  numbers.insert(numbers.end(), {{"loss", latest_loss_},
                                 {"tokens", static_cast<double>(c.tokens)},
                                 {"learning_rate", c.learning_rate},
                                 {"gradient_norm", c.gradient_norm.item<double>()},
                                 {"seconds", c.seconds}});
  const auto measured = performance(rate, elapsed, compute_seconds, c);
  numbers.insert(numbers.end(), measured.begin(), measured.end());
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
