#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace omni {

// Appends one JSON object per line to a file (see LineFile), so that a killed run keeps what it measured.
class RunMetrics {
 public:
  explicit RunMetrics(const std::filesystem::path& path);  // throws Error(io)
  ~RunMetrics();
  RunMetrics(const RunMetrics&) = delete;
  RunMetrics& operator=(const RunMetrics&) = delete;

  // From now on writes the numbers of lines with a "step" to a new EventFile in `folder`, too. Throws Error(io).
  void write_events_to(const std::filesystem::path& folder, std::int64_t first_step);

  // Not-a-number and infinity become null. Throws Error(io).
  void write(const std::vector<std::pair<std::string, double>>& numbers,
             const std::vector<std::pair<std::string, std::string>>& texts = {});

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Removes the lines of steps above `step`, which a resumed run takes again, and lines that are not metrics.
// A missing file is fine. Throws Error(io).
void keep_metrics_until(const std::filesystem::path& path, std::int64_t step);

}  // namespace omni
