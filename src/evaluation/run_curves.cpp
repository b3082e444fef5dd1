#include "omni/evaluation/run_curves.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "omni/core/files.h"
#include "omni/core/json_text.h"

namespace omni::evaluation {
namespace {

constexpr double kNotANumber = std::numeric_limits<double>::quiet_NaN();

// Nothing where the line does not tell it.
bool reads_number(const nlohmann::json& value, double& number) {
  if (!value.is_number() && !value.is_null()) return false;
  number = value.is_null() ? kNotANumber : value.get<double>();
  return true;
}

// Forgets the points from `step` on.
void go_back(RunCurves& curves, double step) {
  const auto first = std::lower_bound(curves.steps.begin(), curves.steps.end(), step);
  const auto kept = static_cast<std::size_t>(first - curves.steps.begin());
  curves.repeated_steps += curves.steps.size() - kept;
  curves.steps.resize(kept);
  for (auto& [name, curve] : curves.metrics) {
    while (!curve.points.empty() && curve.points.back() >= kept) {
      curve.points.pop_back();
      curve.values.pop_back();
    }
  }
  std::erase_if(curves.metrics, [](const auto& metric) { return metric.second.points.empty(); });
}

bool tells_again(const RunCurves& curves, const nlohmann::json& line) {
  for (const auto& [name, value] : line.items()) {
    const MetricCurve* curve = curves.find(name);
    if (curve != nullptr && curve->points.back() + 1 == curves.steps.size()) return true;
  }
  return false;
}

void add_line(RunCurves& curves, const nlohmann::json& line, double step) {
  if (!curves.steps.empty()) {
    const double last = curves.steps.back();
    if (step < last || (step == last && tells_again(curves, line))) go_back(curves, step);
  }
  if (curves.steps.empty() || curves.steps.back() != step) curves.steps.push_back(step);
  for (const auto& [name, value] : line.items()) {
    double number = 0;
    if (name == "step" || !reads_number(value, number)) continue;
    MetricCurve& curve = curves.metrics[name];
    curve.points.push_back(curves.steps.size() - 1);
    curve.values.push_back(number);
  }
  if (const auto stage = line.find("stage"); stage != line.end() && stage->is_string())
    curves.stage = stage->get<std::string>();
}

}  // namespace

const MetricCurve* RunCurves::find(const std::string& metric) const {
  const auto found = metrics.find(metric);
  return found == metrics.end() ? nullptr : &found->second;
}

std::vector<double> RunCurves::at_every_point(const std::string& metric) const {
  std::vector<double> values(steps.size(), kNotANumber);
  const MetricCurve* curve = find(metric);
  if (curve == nullptr) return values;
  double step_before = 0, value_before = 0;
  std::size_t unknown = 0;  // the first point without a value
  for (std::size_t i = 0; i < curve->points.size(); ++i) {
    const std::size_t point = curve->points[i];
    const double step = steps[point], value = curve->values[i];
    if (!std::isfinite(value)) continue;
    for (; unknown < point; ++unknown) {
      if (steps[unknown] < step_before) continue;
      const double share = (steps[unknown] - step_before) / (step - step_before);
      values[unknown] = value_before + share * (value - value_before);
    }
    values[point] = value;
    unknown = point + 1;
    step_before = step;
    value_before = value;
  }
  return values;
}

RunCurves parse_run_curves(std::string_view lines) {
  RunCurves curves;
  while (!lines.empty()) {
    const std::size_t end = std::min(lines.find('\n'), lines.size());
    const std::string_view text = lines.substr(0, end);
    lines.remove_prefix(std::min(lines.size(), end + 1));
    const nlohmann::json line = parse_json_or_discard(text);
    double step = kNotANumber;
    if (line.is_object() && line.contains("step")) reads_number(line["step"], step);
    if (std::isfinite(step))
      add_line(curves, line, step);
    else
      ++curves.broken_lines;
  }
  return curves;
}

RunCurves read_run_curves(const std::filesystem::path& path) {
  return parse_run_curves(read_file_text(path));
}

double median(const MetricCurve& curve) {
  std::vector<double> values = curve.values;
  std::erase_if(values, [](double value) { return !std::isfinite(value); });
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace omni::evaluation
