#include "omni/evaluation/report.h"

#include <cstdio>

#include "charts.h"
#include "gallery.h"
#include "html.h"
#include "omni/core/error.h"
#include "omni/core/progress.h"
#include "omni/evaluation/run_curves.h"
#include "report_tables.h"

namespace omni::evaluation {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFiguresNote =
    "Means over held-out objects with 95 % bootstrap intervals. Volume IoU: the decoded field against the "
    "closed form. CD-L1 and F-scores: surfaces in the normalised frame (longest side 1.92). Class: that of "
    "the "
    "nearest known shape. Colour: share of true parts whose majority palette colour is right.";
constexpr const char* kComparisonNote =
    "Over all splits, with 95 % intervals. Marked: the best mean of its task; where intervals overlap, it may "
    "be chance.";
constexpr const char* kControlsNote =
    "Another prompt's shape: the same samples against the true shapes of other prompts. Nearest training "
    "caption: the true shape of the training object whose caption shares most with the prompt. Tokenizer "
    "ceiling: the true shape encoded and decoded. Reader class: the class reader on true shapes, without the "
    "shape itself.";

const char* colour_of_loss(const std::string& name) {
  if (name == "loss_text") return "#c2577b";
  if (name == "loss_image") return "#e2a95f";
  if (name == "loss_shape") return "#2f6fde";
  return "#8a94a3";
}

std::string loss_panel(const fs::path& path) {
  try {
    const RunCurves curves = read_run_curves(path);
    std::vector<LineSeries> series;
    for (const char* name : {"loss", "loss_image", "loss_shape", "loss_text"}) {
      const MetricCurve* curve = curves.find(name);
      if (curve == nullptr) continue;
      LineSeries line{.name = name, .colour = colour_of_loss(name), .x = {}, .y = curve->values};
      for (const std::size_t point : curve->points) line.x.push_back(curves.steps[point]);
      series.push_back(std::move(line));
    }
    if (series.empty()) return note(path.string() + " holds no losses.");
    const MetricCurve *rates = curves.find("tokens_per_second"), *seconds = curves.find("seconds");
    char rate[64];
    std::snprintf(rate, sizeof rate, ", %.0f tokens/s", rates == nullptr ? 0 : median(*rates));
    const double spent = seconds == nullptr ? 0 : seconds->values.back();
    return "<h3>" + escape_html(curves.stage.empty() ? path.string() : curves.stage) + " <small>" +
           escape_html(
               concat(curves.steps.back(), " steps, ", format_duration(spent == spent ? spent : 0), rate)) +
           "</small></h3>\n<div class=\"panel\">" + line_chart(series, "step", "loss (nats per token)") +
           "</div>\n";
  } catch (const Error& error) {
    return note(error.what());
  }
}

std::string settings_table(const SweepConfig& config) {
  std::string html =
      "<div "
      "class=\"panel\"><table><thead><tr><th>setting</th><th>temperature</th><th>top-k</th><th>top-p</th>"
      "<th>min-p</th><th>guidance</th><th>detail</th></tr></thead><tbody>\n";
  for (const SweepSetting& setting : config.settings) {
    html += "<tr><td>" + escape_html(setting.name) + "</td>";
    html += concat("<td>", setting.temperature, "</td><td>", setting.top_k, "</td><td>", setting.top_p,
                   "</td><td>", setting.min_p, "</td><td>");
    html += escape_html(setting.guidance.empty() ? "none" : setting.guidance) + "</td>";
    html += concat("<td>", setting.detail == 0 ? "all" : std::to_string(setting.detail), "</td></tr>\n");
  }
  std::string bundles;
  for (const SweepBundle& bundle : config.bundles) bundles += (bundles.empty() ? "" : ", ") + bundle.name;
  std::string seeds;
  for (const std::int64_t seed : config.seeds) seeds += (seeds.empty() ? "" : ", ") + std::to_string(seed);
  return html + "</tbody></table></div>\n" + note("Models: " + bundles + ". Seeds: " + seeds + ".");
}

}  // namespace

std::string report_html(const SweepConfig& config, const std::vector<UnitResult>& units,
                        const SweepSummary& summary, const fs::path& output) {
  std::string body = "<h1>" + escape_html(config.title) + "</h1>\n";
  body += headline_cards(config, summary);
  if (const std::string comparison = comparison_table(config, summary); !comparison.empty())
    body += "<h2 id=\"comparison\">Settings beside each other</h2>\n" + note(kComparisonNote) + comparison;
  body += "<h2 id=\"gallery\">Samples</h2>\n" + gallery(config, units, output);
  body += "<h2 id=\"figures\">Figures</h2>\n" + note(kFiguresNote) + task_tables(config, summary);
  body += "<h2 id=\"controls\">Against the controls</h2>\n" + note(kControlsNote) +
          control_charts(config, summary) + control_tables(config, summary);
  if (!config.metrics.empty()) {
    body += "<h2 id=\"training\">Training</h2>\n";
    for (const std::string& path : config.metrics) body += loss_panel(path);
  }
  body += "<h2 id=\"settings\">Settings</h2>\n" + settings_table(config);
  body += "<footer>" + escape_html("Measured in " + format_duration(summary.seconds) + " by omni eval.") +
          "</footer>\n";
  return html_page(config.title, body);
}

}  // namespace omni::evaluation
