#include "step_report.h"

#include <unistd.h>

#include <cstdio>

#include "omni/core/progress.h"
#include "omni/sequence/document.h"

namespace omni::training {

void StepSums::add(const StepSums& other) {
  for (std::size_t m = 0; m < model::kModalityCount; ++m) {
    cross_entropy[m] += other.cross_entropy[m];
    weight[m] += other.weight[m];
    targets[m] += other.targets[m];
    correct[m] += other.correct[m];
  }
  tokens += other.tokens;
}

StepReport::StepReport(RunMetrics& metrics, std::int64_t log_steps,
                       const std::array<double, model::kModalityCount>& loss_weights, double start_seconds)
    : metrics_(metrics),
      log_steps_(log_steps),
      loss_weights_(loss_weights),
      window_start_seconds_(start_seconds),
      terminal_(::isatty(STDERR_FILENO) != 0) {}

StepReport::~StepReport() {
  if (line_open_) std::fputc('\n', stderr);
}

void StepReport::add(const StepSums& sums, const StepContext& context, bool last) {
  sums_.add(sums);
  ++steps_;
  if (steps_ < log_steps_ && !last) return;
  write(context);
  sums_ = {};
  steps_ = 0;
  window_start_seconds_ = context.seconds;
}

void StepReport::write(const StepContext& c) {
  const double elapsed = std::max(1e-9, c.seconds - window_start_seconds_);
  const double rate = static_cast<double>(sums_.tokens) / elapsed;
  std::vector<std::pair<std::string, double>> numbers{{"step", static_cast<double>(c.step)},
                                                      {"progress", c.progress}};
  latest_loss_ = 0;
  std::string losses;
  for (std::size_t m = 0; m < model::kModalityCount; ++m) {
    if (sums_.targets[m] == 0) continue;
    const std::string name(sequence::modality_name(static_cast<sequence::Modality>(m)));
    latest_loss_ += loss_weights_[m] * sums_.loss(m);
    numbers.emplace_back("loss_" + name, sums_.loss(m));
    numbers.emplace_back("accuracy_" + name, sums_.accuracy(m));
    char text[64];
    std::snprintf(text, sizeof text, ", %s %.3f", name.c_str(), sums_.loss(m));
    losses += text;
  }
  numbers.insert(numbers.end(), {{"loss", latest_loss_},
                                 {"tokens_per_second", rate},
                                 {"tokens", static_cast<double>(c.tokens)},
                                 {"learning_rate", c.learning_rate},
                                 {"gradient_norm", c.gradient_norm},
                                 {"seconds", c.seconds}});
  metrics_.write(numbers, {{"stage", c.stage}});

  const auto now = std::chrono::steady_clock::now();
  const bool done = c.progress >= 1;
  if (!terminal_ && !done && now - last_plain_line_ < std::chrono::seconds(10)) return;
  last_plain_line_ = now;
  const double left = c.progress > 0 ? c.seconds * (1 - c.progress) / c.progress : 0;
  std::fprintf(stderr, "%s%s step %lld (%.0f %%): loss %.3f%s, %.0f tokens/s, %s left%s",
               terminal_ ? "\r\033[K" : "", c.stage.c_str(), static_cast<long long>(c.step),
               100 * std::min(1.0, c.progress), latest_loss_, losses.c_str(), rate,
               format_duration(done ? 0 : left).c_str(), terminal_ ? "" : "\n");
  line_open_ = terminal_;
}

}  // namespace omni::training
