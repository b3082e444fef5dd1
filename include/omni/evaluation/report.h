#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "omni/evaluation/result_log.h"
#include "omni/evaluation/summary.h"
#include "omni/evaluation/sweep_config.h"

namespace omni::evaluation {

// One self-contained page: figures with intervals per task and split, settings side by side where there are
// several, controls, loss curves from the config's metrics files, and a gallery whose pictures are read from
// `output`, as are its meshes, which a viewer of the page's own turns. Missing pictures and metrics files are
// named on the page, not fatal.
std::string report_html(const SweepConfig& config, const std::vector<UnitResult>& units,
                        const SweepSummary& summary, const std::filesystem::path& output);

// A metrics.jsonl file of a training run, as the page draws it; unreadable lines are passed over.
struct LossCurve {
  std::string stage;
  std::vector<double> steps, seconds;
  // "loss", "loss_text", ... -> one value per line, or NaN.
  std::map<std::string, std::vector<double>> losses;
  double tokens_per_second = 0;  // median
};
LossCurve read_loss_curve(const std::filesystem::path& path);  // throws Error(io)

// Text for HTML: <, >, &, quotes escaped; bytes that are not UTF-8 become U+FFFD, control characters vanish.
std::string escape_html(std::string_view text);

}  // namespace omni::evaluation
