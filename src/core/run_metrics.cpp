#include "omni/core/run_metrics.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "omni/core/event_file.h"
#include "omni/core/files.h"
#include "omni/core/json_text.h"
#include "omni/core/line_file.h"

namespace omni {

struct RunMetrics::State {
  LineFile file;
  std::optional<EventFile> events;
};

RunMetrics::RunMetrics(const std::filesystem::path& path) : state_(new State{LineFile(path), std::nullopt}) {}

RunMetrics::~RunMetrics() = default;

void RunMetrics::write_events_to(const std::filesystem::path& folder, std::int64_t first_step) {
  state_->events.emplace(folder, first_step);
}

void RunMetrics::write(const std::vector<std::pair<std::string, double>>& numbers,
                       const std::vector<std::pair<std::string, std::string>>& texts) {
  nlohmann::ordered_json line;
  for (const auto& [key, value] : texts) line[key] = value;
  for (const auto& [key, value] : numbers) {
    // JSON has no infinity; null keeps the line readable. Counts are written as such.
    constexpr double kExact = 9e15;
    if (!std::isfinite(value))
      line[key] = nullptr;
    else if (value == std::floor(value) && std::abs(value) < kExact)
      line[key] = static_cast<std::int64_t>(value);
    else
      line[key] = value;
  }
  state_->file.append(json_text(line));
  if (!state_->events) return;
  const auto step =
      std::find_if(numbers.begin(), numbers.end(), [](const auto& number) { return number.first == "step"; });
  if (step == numbers.end()) return;
  std::vector<std::pair<std::string, double>> plotted = numbers;
  plotted.erase(plotted.begin() + (step - numbers.begin()));
  state_->events->write(static_cast<std::int64_t>(step->second), plotted);
}

void keep_metrics_until(const std::filesystem::path& path, std::int64_t step) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return;
  const std::string text = read_file_text(path);
  std::string kept;
  for (std::size_t start = 0; start < text.size();) {
    const std::size_t end = text.find('\n', start);
    if (end == std::string::npos) break;  // torn off
    const std::string line = text.substr(start, end + 1 - start);
    const nlohmann::json parsed = parse_json_or_discard(line);
    const bool numbered = parsed.is_object() && parsed.contains("step") && parsed["step"].is_number();
    if (numbered && parsed["step"].get<double>() <= static_cast<double>(step)) kept += line;
    start = end + 1;
  }
  if (kept != text) write_file_atomically(path, std::string_view(kept));
}

}  // namespace omni
