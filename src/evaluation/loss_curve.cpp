#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>

#include "omni/core/files.h"
#include "omni/evaluation/report.h"

namespace omni::evaluation {
namespace {

double number_or_nan(const nlohmann::json& line, const char* key) {
  const auto found = line.find(key);
  if (found == line.end() || !found->is_number()) return std::numeric_limits<double>::quiet_NaN();
  return found->get<double>();
}

double median(std::vector<double> values) {
  std::erase_if(values, [](double value) { return !std::isfinite(value); });
  if (values.empty()) return 0;
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2),
                   values.end());
  return values[values.size() / 2];
}

}  // namespace

LossCurve read_loss_curve(const std::filesystem::path& path) {
  LossCurve curve;
  std::vector<double> rates;
  std::istringstream lines(read_file_text(path));
  for (std::string text; std::getline(lines, text);) {
    const nlohmann::json line = nlohmann::json::parse(text, nullptr, false);
    if (!line.is_object() || !std::isfinite(number_or_nan(line, "step"))) continue;
    const auto stage = line.find("stage");
    if (stage != line.end() && stage->is_string()) curve.stage = stage->get<std::string>();
    curve.steps.push_back(number_or_nan(line, "step"));
    curve.seconds.push_back(number_or_nan(line, "seconds"));
    for (const char* key : {"loss", "loss_text", "loss_image", "loss_shape"}) {
      curve.losses[key].push_back(number_or_nan(line, key));
    }
    rates.push_back(number_or_nan(line, "tokens_per_second"));
  }
  curve.tokens_per_second = median(rates);
  return curve;
}

}  // namespace omni::evaluation
