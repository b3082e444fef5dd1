#include "omni/evaluation/summary.h"

#include <cmath>
#include <set>

#include "omni/core/error.h"
#include "omni/core/json_text.h"
#include "omni/core/random.h"

namespace omni::evaluation {
namespace {

using Json = nlohmann::ordered_json;

// Values of one metric by object, over seeds.
struct MetricValues {
  std::map<std::string, std::pair<double, int>> by_object;  // sum and count
  void add(const std::string& object, double value) {
    auto& [sum, count] = by_object[object];
    sum += value;
    ++count;
  }
  std::vector<double> means() const {
    std::vector<double> values;
    for (const auto& [object, entry] : by_object) values.push_back(entry.first / entry.second);
    return values;
  }
};
using SplitMetrics = std::map<std::string, std::map<std::string, MetricValues>>;

void add_sample(SplitMetrics& values, const SampleResult& sample) {
  for (const auto& [metric, value] : sample.metrics) {
    values["all"][metric].add(sample.object, value);
    values[sample.split][metric].add(sample.object, value);
  }
}

// Object by object, by how much the model is better than retrieval: of the nearest training picture where one
// is given, of the nearest caption where a task starts from a text.
void add_difference(std::map<std::string, MetricValues>& metrics, bool from_text) {
  const auto own = metrics.find("iou");
  auto retrieved = metrics.find("nearest_picture_iou");
  if (retrieved == metrics.end() && from_text) retrieved = metrics.find("nearest_iou");
  if (own == metrics.end() || retrieved == metrics.end()) return;
  MetricValues difference;
  for (const auto& [object, entry] : own->second.by_object) {
    const auto other = retrieved->second.by_object.find(object);
    if (other == retrieved->second.by_object.end()) continue;
    const auto mean = [](const std::pair<double, int>& of) { return of.first / of.second; };
    difference.add(object, mean(entry) - mean(other->second));
  }
  if (!difference.by_object.empty()) metrics["over_retrieval"] = std::move(difference);
}

TaskSummary summarise_task(const SweepConfig& config, const std::vector<UnitResult>& units,
                           const std::string& bundle, const std::string& task, const std::string& setting) {
  TaskSummary summary{.bundle = bundle, .task = task, .setting = setting, .splits = {}};
  SplitMetrics values;
  std::set<std::string> objects;
  for (const UnitResult& unit : units) {
    if (unit.bundle != bundle || unit.task != task || unit.setting != setting) continue;
    for (const SampleResult& sample : unit.samples) {
      add_sample(values, sample);
      objects.insert(sample.object);
    }
  }
  for (const UnitResult& unit : units) {
    if (unit.bundle != bundle || unit.task != "controls") continue;
    for (const SampleResult& sample : unit.samples) {
      if (objects.contains(sample.object)) add_sample(values, sample);
    }
  }
  const bool from_text = task.find("text") < task.find("->shape");
  for (auto& [split, metrics] : values) add_difference(metrics, from_text);
  for (const auto& [split, metrics] : values) {
    for (const auto& [metric, of_metric] : metrics) {
      const std::uint64_t seed = hash_combine(hash_string(split), hash_string(metric));
      summary.splits[split][metric] = bootstrap_mean(of_metric.means(), config.bootstrap_samples, seed);
    }
  }
  return summary;
}

Json number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

Json interval_json(const MeanInterval& interval) {
  Json json;
  json["mean"] = number(interval.mean);
  json["low"] = number(interval.low);
  json["high"] = number(interval.high);
  json["count"] = interval.count;
  return json;
}

// The mean of a metric of a task over all splits, for the first bundle and setting.
Json headline(const SweepSummary& summary, const std::string& task, const std::string& metric) {
  for (const TaskSummary& entry : summary.tasks) {
    if (entry.task != task) continue;
    const auto all = entry.splits.find("all");
    if (all == entry.splits.end()) break;
    const auto found = all->second.find(metric);
    return found == all->second.end() ? Json(nullptr) : number(found->second.mean);
  }
  return nullptr;
}

// Tokenizer figures do not depend on the task: taken from the first that has them.
Json any_headline(const SweepSummary& summary, const std::string& metric) {
  for (const TaskSummary& entry : summary.tasks) {
    const Json value = headline(summary, entry.task, metric);
    if (!value.is_null()) return value;
  }
  return nullptr;
}

// Quoted, on one line.
std::string csv_field(const std::string& text) {
  std::string field = "\"";
  for (const char c : text) {
    if (c == '"') field += '"';
    field += c == '\n' || c == '\r' ? ' ' : c;
  }
  return field + "\"";
}

}  // namespace

SweepSummary summarise(const SweepConfig& config, const std::vector<UnitResult>& units) {
  SweepSummary summary;
  for (const UnitResult& unit : units) summary.seconds += unit.seconds;
  for (const SweepBundle& bundle : config.bundles) {
    for (const SweepTask& task : config.tasks) {
      for (const SweepSetting& setting : config.settings) {
        summary.tasks.push_back(summarise_task(config, units, bundle.name, task.title(), setting.name));
      }
    }
  }
  return summary;
}

std::string summary_json(const SweepConfig& config, const SweepSummary& summary) {
  Json json;
  json["title"] = config.title;
  json["seconds"] = nullptr;
  json["shape_reconstruction_iou"] = any_headline(summary, "ceiling_iou");
  json["image_psnr_db"] = any_headline(summary, "image_psnr_db");
  json["text_to_shape_iou"] = headline(summary, "text->shape", "iou");
  json["text_to_shape_colour"] = headline(summary, "text->shape", "colour");
  json["text_to_shape_closed"] = headline(summary, "text->shape", "closed");
  json["text_to_shape_class"] = headline(summary, "text->shape", "class");
  json["shuffled_iou"] = headline(summary, "text->shape", "shuffled_iou");
  json["nearest_iou"] = headline(summary, "text->shape", "nearest_iou");
  json["ceiling_iou"] = headline(summary, "text->shape", "ceiling_iou");
  json["best_training_iou"] = headline(summary, "text->shape", "best_training_iou");
  json["text_to_shape_over_retrieval"] = headline(summary, "text->shape", "over_retrieval");
  json["text_to_shape_verbatim"] = headline(summary, "text->shape", "verbatim");
  json["image_to_shape_class"] = headline(summary, "image->shape", "class");
  json["image_to_shape_over_retrieval"] = headline(summary, "image->shape", "over_retrieval");
  json["image_to_shape_verbatim"] = headline(summary, "image->shape", "verbatim");
  json["nearest_picture_iou"] = headline(summary, "image->shape", "nearest_picture_iou");
  json["image_to_shape_iou"] = headline(summary, "image->shape", "iou");
  json["text_to_image_to_shape_iou"] = headline(summary, "text->image->shape", "iou");
  for (const char* metric : {"class_kept", "edited_right", "untouched_kept", "edit_right"})
    json[std::string(metric).starts_with("edit") ? metric : concat("edit_", metric)] =
        headline(summary, "shape+text->shape", metric);
  for (const char* metric : {"copy_edit_right", "ceiling_edit_right"})
    json[metric] = headline(summary, "shape+text->shape", metric);
  json["evaluation_seconds"] = number(summary.seconds);
  json["details"] = Json::array();
  for (const TaskSummary& task : summary.tasks) {
    Json entry;
    entry["bundle"] = task.bundle;
    entry["task"] = task.task;
    entry["setting"] = task.setting;
    entry["splits"] = Json::object();
    for (const auto& [split, metrics] : task.splits) {
      for (const auto& [metric, interval] : metrics) entry["splits"][split][metric] = interval_json(interval);
    }
    json["details"].push_back(std::move(entry));
  }
  return json_text(json, 2) + "\n";
}

std::string results_csv(const std::vector<UnitResult>& units) {
  std::set<std::string> metrics;
  for (const UnitResult& unit : units) {
    for (const SampleResult& sample : unit.samples) {
      for (const auto& [metric, value] : sample.metrics) metrics.insert(metric);
    }
  }
  std::string csv = "bundle,task,setting,seed,split,object,class,prompt,text";
  for (const std::string& metric : metrics) csv += "," + metric;
  csv += "\n";
  for (const UnitResult& unit : units) {
    for (const SampleResult& sample : unit.samples) {
      csv += csv_field(unit.bundle) + "," + csv_field(unit.task) + "," + csv_field(unit.setting) + "," +
             std::to_string(unit.seed) + "," + csv_field(sample.split) + "," + csv_field(sample.object) +
             "," + csv_field(sample.class_name) + "," + csv_field(sample.prompt) + "," +
             csv_field(sample.text);
      for (const std::string& metric : metrics) {
        const auto found = sample.metrics.find(metric);
        csv += found == sample.metrics.end() ? "," : concat(",", found->second);
      }
      csv += "\n";
    }
  }
  return csv;
}

}  // namespace omni::evaluation
