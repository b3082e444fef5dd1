#include "omni/evaluation/run_plot.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <set>

#include "charts.h"
#include "html.h"
#include "omni/core/error.h"
#include "omni/core/progress.h"
#include "omni/core/text_format.h"
#include "omni/evaluation/report.h"

namespace omni::evaluation {
namespace {

constexpr double kBehindItsMean = 0.25;  // how opaque values are behind their smoothed line

// Told apart by people who see no red or no green, too (Okabe & Ito 2008, the yellow left out).
constexpr std::array<const char*, 7> kColours = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                                 "#56b4e9", "#e69f00", "#333333"};

std::string colour_of(std::size_t run) {
  if (run < kColours.size()) return kColours[run];
  constexpr double kGoldenAngle = 137.508;  // as far as can be from all hues before
  return concat("hsl(", static_cast<int>(std::fmod(static_cast<double>(run) * kGoldenAngle, 360)),
                ",60%,45%)");
}

struct Section {
  const char* title;
  bool (*holds)(const std::string& metric);
};

bool begins(const std::string& text, const char* start) { return text.starts_with(start); }

// A metric stands in the first section that holds it.
constexpr std::array<Section, 6> kSections = {
    {{"Losses", [](const std::string& metric) { return metric.find("loss") != metric.npos; }},
     {"Accuracy", [](const std::string& metric) { return begins(metric, "accuracy"); }},
     {"Optimiser",
      [](const std::string& metric) { return metric == "learning_rate" || metric == "gradient_norm"; }},
     {"Speed",
      [](const std::string& metric) {
        return begins(metric, "tokens_per") || metric == "loader_wait" || metric == "mfu" ||
               metric == "step_spread";
      }},
     {"Memory", [](const std::string& metric) { return begins(metric, "memory"); }},
     {"Other numbers", [](const std::string&) { return true; }}}};

// Of every run, by section: those that people look for come first, then by name.
std::array<std::vector<std::string>, kSections.size()> metrics_by_section(
    const std::vector<PlottedRun>& runs) {
  std::set<std::string> names;
  for (const PlottedRun& run : runs)
    for (const auto& [name, curve] : run.curves.metrics) names.insert(name);
  for (const char* axis : {"progress", "tokens", "seconds"}) names.erase(axis);
  std::array<std::vector<std::string>, kSections.size()> sections;
  const auto place = [&](const std::string& name) {
    for (std::size_t i = 0; i < kSections.size(); ++i) {
      if (!kSections[i].holds(name)) continue;
      sections[i].push_back(name);
      return;
    }
  };
  for (const char* first : {"loss", "validation_loss"})
    if (names.erase(first) > 0) place(first);
  for (const std::string& name : names) place(name);
  return sections;
}

const char* axis_label(PlotAxis axis) {
  switch (axis) {
    case PlotAxis::tokens:
      return "tokens";
    case PlotAxis::hours:
      return "hours of training";
    default:
      return "steps";
  }
}

// Of every point of a run.
std::vector<double> places(const RunCurves& curves, PlotAxis axis) {
  if (axis == PlotAxis::steps) return curves.steps;
  std::vector<double> values = curves.at_every_point(axis == PlotAxis::tokens ? "tokens" : "seconds");
  if (axis == PlotAxis::hours)
    for (double& value : values) value /= 3600;
  return values;
}

bool tells_none(const std::vector<double>& values) {
  return std::none_of(values.begin(), values.end(), [](double value) { return std::isfinite(value); });
}

std::vector<LineSeries> lines_of(const std::vector<PlottedRun>& runs, const PlotOptions& options,
                                 const std::string& metric) {
  std::vector<LineSeries> lines;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const MetricCurve* curve = runs[i].curves.find(metric);
    if (curve == nullptr) continue;
    const std::vector<double> all = places(runs[i].curves, options.axis);
    LineSeries line{.name = runs[i].name, .colour = colour_of(i), .x = {}, .y = curve->values};
    for (const std::size_t point : curve->points) line.x.push_back(all[point]);
    if (tells_none(line.x)) continue;
    if (options.smoothing > 0) {
      LineSeries behind = line;
      behind.name.clear();
      behind.opacity = kBehindItsMean;
      lines.push_back(std::move(behind));
      line.y = smoothed(line.y, options.smoothing);
    }
    lines.push_back(std::move(line));
  }
  return lines;
}

double last_finite(const MetricCurve* curve) {
  if (curve != nullptr)
    for (auto value = curve->values.rbegin(); value != curve->values.rend(); ++value)
      if (std::isfinite(*value)) return *value;
  return std::numeric_limits<double>::quiet_NaN();
}

double lowest_finite(const MetricCurve* curve) {
  double lowest = std::numeric_limits<double>::quiet_NaN();
  if (curve != nullptr)
    for (const double value : curve->values)
      if (std::isfinite(value) && !(lowest <= value)) lowest = value;
  return lowest;
}

std::string cell(double value, int decimals) {
  return "<td>" + (std::isfinite(value) ? with_decimals(value, decimals) : std::string("–")) + "</td>";
}

std::string table_of(const std::vector<PlottedRun>& runs, PlotAxis axis) {
  std::string html =
      "<div class=\"panel\"><table><thead><tr><th>run</th><th>stage</th><th>steps</th><th>tokens</th><th>time"
      "</th><th>last loss</th><th>lowest loss</th><th>lowest validation loss</th><th>tokens/s, median</th>"
      "<th></th></tr></thead><tbody>\n";
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const RunCurves& curves = runs[i].curves;
    const double seconds = last_finite(curves.find("seconds"));
    const MetricCurve *loss = curves.find("loss"), *rate = curves.find("tokens_per_second");
    html += "<tr><td><i class=\"run\" style=\"background:" + colour_of(i) + "\"></i>" +
            escape_html(runs[i].name) + "</td><td>" + escape_html(curves.stage) + "</td>";
    html += cell(curves.steps.empty() ? 0 : curves.steps.back(), 0);
    html += cell(last_finite(curves.find("tokens")), 0);
    html += "<td>" + escape_html(std::isfinite(seconds) ? format_duration(seconds) : "–") + "</td>";
    html += cell(last_finite(loss), 4) + cell(lowest_finite(loss), 4) +
            cell(lowest_finite(curves.find("validation_loss")), 4);
    html += rate == nullptr ? "<td>–</td>" : cell(median(*rate), 0);
    std::string said;
    for (const std::string& remark : remarks(curves, axis)) said += (said.empty() ? "" : "; ") + remark;
    html += "<td class=\"said\"><small>" + escape_html(said) + "</small></td></tr>\n";
  }
  return html + "</tbody></table></div>\n";
}

std::string file_name_of(const std::string& metric, std::set<std::string>& taken) {
  constexpr std::size_t kLongest = 100;
  std::string name;
  for (const char c : metric.substr(0, kLongest)) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
    name += plain ? c : '_';
  }
  std::string unique = name;
  for (int number = 2; !taken.insert(unique).second; ++number) unique = concat(name, "-", number);
  return unique + ".svg";
}

}  // namespace

std::vector<double> smoothed(const std::vector<double>& values, double weight) {
  std::vector<double> means(values.size(), std::numeric_limits<double>::quiet_NaN());
  double sum = 0, weights = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) continue;
    sum = weight * sum + (1 - weight) * values[i];
    weights = weight * weights + (1 - weight);
    means[i] = sum / weights;
  }
  return means;
}

std::vector<std::string> remarks(const RunCurves& curves, PlotAxis axis) {
  std::vector<std::string> said;
  const auto lines = [](std::size_t count, const char* one, const char* several) {
    return concat(count, " ", count == 1 ? one : several);
  };
  if (curves.steps.empty()) said.emplace_back("no steps yet");
  if (curves.broken_lines > 0)
    said.push_back(lines(curves.broken_lines, "line is", "lines are") + " broken and passed over");
  if (curves.repeated_steps > 0)
    said.push_back(lines(curves.repeated_steps, "line was", "lines were") +
                   " told again after a resume; the later ones are drawn");
  for (const auto& [name, curve] : curves.metrics) {
    const auto missing = std::find_if_not(curve.values.begin(), curve.values.end(),
                                          [](double value) { return std::isfinite(value); });
    if (missing == curve.values.end()) continue;
    const std::size_t point = curve.points[static_cast<std::size_t>(missing - curve.values.begin())];
    const auto count = std::count_if(curve.values.begin(), curve.values.end(),
                                     [](double value) { return !std::isfinite(value); });
    said.push_back(concat("'", name, "' is not a number at ", count, " of ", curve.values.size(),
                          " points, first at step ", curves.steps[point]));
  }
  if (!curves.steps.empty() && tells_none(places(curves, axis)))
    said.push_back(concat("its lines do not tell ", axis_label(axis), ": not in the charts"));
  return said;
}

std::string run_plot_page(const std::vector<PlottedRun>& runs, const PlotOptions& options) {
  std::string body = "<h1>Training runs</h1>\n" + table_of(runs, options.axis);
  if (options.smoothing > 0)
    body += note(concat("Lines are exponential means of weight ", options.smoothing,
                        "; behind them, faint, the values as they are."));
  const auto sections = metrics_by_section(runs);
  for (std::size_t i = 0; i < sections.size(); ++i) {
    std::string charts;
    for (const std::string& metric : sections[i]) {
      const std::vector<LineSeries> lines = lines_of(runs, options, metric);
      if (!lines.empty())
        charts += "<div class=\"panel\">" + line_chart(lines, axis_label(options.axis), metric) + "</div>\n";
    }
    if (!charts.empty())
      body += concat("<h2>", kSections[i].title, "</h2>\n<div class=\"charts\">\n") + charts + "</div>\n";
  }
  return html_page("Training runs", body);
}

std::vector<std::pair<std::string, std::string>> run_plot_pictures(const std::vector<PlottedRun>& runs,
                                                                   const PlotOptions& options) {
  std::vector<std::pair<std::string, std::string>> pictures;
  std::set<std::string> taken;
  for (const auto& metrics : metrics_by_section(runs)) {
    for (const std::string& metric : metrics) {
      const std::vector<LineSeries> lines = lines_of(runs, options, metric);
      if (!lines.empty())
        pictures.emplace_back(file_name_of(metric, taken),
                              line_picture(lines, axis_label(options.axis), metric));
    }
  }
  return pictures;
}

bool is_run_plot_picture(std::string_view name, std::string_view text) {
  return name.ends_with(".svg") && name.find('/') == name.npos && is_line_picture(text);
}

}  // namespace omni::evaluation
