#include "omni/evaluation/bundle_figures.h"

#include <array>
#include <cmath>
#include <string_view>

#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/json_text.h"

namespace omni::evaluation {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kName = "figures.json";
constexpr const char* kFormat = "omni figures";
constexpr std::int64_t kVersion = 1;
constexpr std::uint64_t kLargestFile = std::uint64_t{1} << 20;  // bytes
constexpr std::size_t kLongestName = 200;

constexpr std::array<std::string_view, 9> kMetrics = {"iou",          "class",          "colour",
                                                      "named_colour", "verbatim",       "class_kept",
                                                      "edited_right", "untouched_kept", "edit_right"};

BundleFigure read_figure(const Json& json) {
  const auto text = [&](const char* key) {
    const auto found = json.find(key);
    if (found == json.end() || !found->is_string() || found->get_ref<const std::string&>().empty() ||
        found->get_ref<const std::string&>().size() > kLongestName) {
      fail(ErrorKind::input, "a figure has no '", key, "'");
    }
    return found->get<std::string>();
  };
  const auto number = [&](const char* key) {
    const auto found = json.find(key);
    if (found == json.end() || !found->is_number()) fail(ErrorKind::input, "a figure has no '", key, "'");
    return found->get<double>();
  };
  if (!json.is_object()) fail(ErrorKind::input, "a figure is no mapping");
  BundleFigure figure{.task = text("task"), .setting = text("setting"), .metric = text("metric")};
  figure.mean = number("mean");
  figure.low = number("low");
  figure.high = number("high");
  const double count = number("count");
  if (!(count >= 1 && count <= 1e15)) fail(ErrorKind::input, "a figure's 'count' is ", count);
  figure.count = static_cast<std::int64_t>(count);
  return figure;
}

}  // namespace

std::vector<BundleFigure> figures_of(const SweepSummary& summary, const std::string& bundle) {
  std::vector<BundleFigure> figures;
  for (const TaskSummary& task : summary.tasks) {
    const auto all = task.splits.find("all");
    if (task.bundle != bundle || all == task.splits.end()) continue;
    for (const std::string_view metric : kMetrics) {
      const auto found = all->second.find(std::string(metric));
      if (found == all->second.end() || !std::isfinite(found->second.mean)) continue;
      const MeanInterval& interval = found->second;
      figures.push_back({task.task, task.setting, std::string(metric), interval.mean, interval.low,
                         interval.high, interval.count});
    }
  }
  return figures;
}

void write_bundle_figures(const std::filesystem::path& bundle, const std::vector<BundleFigure>& figures) {
  Json json = {{"format", kFormat}, {"version", kVersion}, {"figures", Json::array()}};
  for (const BundleFigure& figure : figures)
    json["figures"].push_back({{"task", figure.task},
                               {"setting", figure.setting},
                               {"metric", figure.metric},
                               {"mean", figure.mean},
                               {"low", figure.low},
                               {"high", figure.high},
                               {"count", figure.count}});
  write_file_atomically(bundle / kName, std::string_view(json_text(json, 1) + "\n"));
}

std::vector<BundleFigure> read_bundle_figures(const std::filesystem::path& bundle) {
  const std::filesystem::path path = bundle / kName;
  if (!std::filesystem::exists(path)) return {};
  try {
    const Json json = parse_json<Json>(read_file_text(path, kLargestFile));
    if (!json.is_object() || json.value("format", Json()) != kFormat)
      fail(ErrorKind::input, "it holds no figures");
    if (json.value("version", Json()) != kVersion)
      fail(ErrorKind::input, "this program reads version ", kVersion, " of the format");
    const auto list = json.find("figures");
    if (list == json.end() || !list->is_array()) fail(ErrorKind::input, "its 'figures' are no list");
    std::vector<BundleFigure> figures;
    for (const Json& figure : *list) figures.push_back(read_figure(figure));
    return figures;
  } catch (const Json::exception& error) {
    fail(ErrorKind::input, "reading ", path.string(), ": it is not JSON (", error.what(),
         "). Delete it and measure the model again");
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::input) throw;
    fail(ErrorKind::input, "reading ", path.string(), ": ", error.what(),
         ". Delete it and measure the model again");
  }
}

}  // namespace omni::evaluation
