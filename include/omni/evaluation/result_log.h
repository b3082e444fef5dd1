#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace omni::evaluation {

// What was measured on one sample.
struct SampleResult {
  std::string object, split, class_name;
  std::string prompt, text;                     // the condition's words, and generated ones
  std::map<std::string, double> metrics;        // "iou" -> 0.7; what does not apply is absent
  std::map<std::string, std::string> pictures;  // "generated" -> file, relative to the output folder
  friend bool operator==(const SampleResult&, const SampleResult&) = default;
};

// A finished piece of a sweep. `key` is a hash of everything that decides its result.
struct UnitResult {
  std::string key, bundle, task, setting;
  std::int64_t seed = 0, chunk = 0;
  double seconds = 0;
  std::vector<SampleResult> samples;
  friend bool operator==(const UnitResult&, const UnitResult&) = default;
};
std::string to_json_line(const UnitResult& unit);
UnitResult parse_unit(std::string_view line, const std::string& name);  // throws Error(input)

// results.jsonl: one unit a line, appended and flushed as units finish, so that a killed sweep goes on where
// it stopped.
class ResultLog {
 public:
  // Reads what is there. A last line that was torn by a kill is cut off; a broken line before the last throws
  // Error(input). Throws Error(io).
  explicit ResultLog(std::filesystem::path path);

  const UnitResult* find(const std::string& key) const;
  void append(UnitResult unit);
  std::size_t size() const { return units_.size(); }

 private:
  std::filesystem::path path_;
  std::map<std::string, UnitResult> units_;
};

}  // namespace omni::evaluation
