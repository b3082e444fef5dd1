#include "omni/evaluation/result_log.h"

#include <cmath>

#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/json_text.h"
#include "omni/core/line_file.h"
#include "omni/core/log.h"

namespace omni::evaluation {
namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

Json sample_json(const SampleResult& sample) {
  Json json;
  json["object"] = sample.object;
  json["split"] = sample.split;
  json["class"] = sample.class_name;
  json["prompt"] = sample.prompt;
  if (!sample.text.empty()) json["text"] = sample.text;
  Json metrics = Json::object();
  for (const auto& [name, value] : sample.metrics) {
    if (std::isfinite(value)) metrics[name] = value;
  }
  json["metrics"] = std::move(metrics);
  if (!sample.pictures.empty()) json["pictures"] = sample.pictures;
  return json;
}

SampleResult parse_sample(const Json& json) {
  SampleResult sample;
  sample.object = json.at("object").get<std::string>();
  sample.split = json.at("split").get<std::string>();
  sample.class_name = json.at("class").get<std::string>();
  sample.prompt = json.at("prompt").get<std::string>();
  sample.text = json.value("text", "");
  sample.metrics = json.at("metrics").get<std::map<std::string, double>>();
  if (json.contains("pictures")) {
    sample.pictures = json.at("pictures").get<std::map<std::string, std::string>>();
  }
  return sample;
}

}  // namespace

std::string to_json_line(const UnitResult& unit) {
  Json json;
  json["key"] = unit.key;
  json["bundle"] = unit.bundle;
  json["task"] = unit.task;
  json["setting"] = unit.setting;
  json["seed"] = unit.seed;
  json["chunk"] = unit.chunk;
  json["seconds"] = unit.seconds;
  json["samples"] = Json::array();
  for (const SampleResult& sample : unit.samples) json["samples"].push_back(sample_json(sample));
  return json_text(json);
}

UnitResult parse_unit(std::string_view line, const std::string& name) {
  try {
    const Json json = parse_json<Json>(line);
    UnitResult unit;
    unit.key = json.at("key").get<std::string>();
    unit.bundle = json.at("bundle").get<std::string>();
    unit.task = json.at("task").get<std::string>();
    unit.setting = json.at("setting").get<std::string>();
    unit.seed = json.at("seed").get<std::int64_t>();
    unit.chunk = json.at("chunk").get<std::int64_t>();
    unit.seconds = json.at("seconds").get<double>();
    for (const Json& sample : json.at("samples")) unit.samples.push_back(parse_sample(sample));
    return unit;
  } catch (const nlohmann::json::exception& error) {
    fail(ErrorKind::input, "reading ", name, ": it is no result: ", error.what(),
         ". Remove the line, or choose another output folder.");
  }
}

ResultLog::ResultLog(fs::path path) : path_(std::move(path)) {
  if (!fs::exists(path_)) return;
  const std::string text = read_file_text(path_);
  std::size_t begin = 0, number = 1;
  for (; begin < text.size(); ++number) {
    const std::size_t end = text.find('\n', begin);
    if (end == std::string::npos) break;
    UnitResult unit = parse_unit(std::string_view(text).substr(begin, end - begin),
                                 concat("line ", number, " of ", path_.string()));
    units_.insert_or_assign(unit.key, std::move(unit));
    begin = end + 1;
  }
  if (begin == text.size()) return;
  log_warning(path_.string(), ": the last line was torn off; that piece is done again");
  write_file_atomically(path_, std::string_view(text).substr(0, begin));
}

const UnitResult* ResultLog::find(const std::string& key) const {
  const auto found = units_.find(key);
  return found == units_.end() ? nullptr : &found->second;
}

void ResultLog::append(UnitResult unit) {
  LineFile file(path_);
  file.append(to_json_line(unit));
  file.flush_to_disk();
  units_.insert_or_assign(unit.key, std::move(unit));
}

}  // namespace omni::evaluation
