#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace omni {

// Appends one JSON object per line to a file, flushed line by line, so that a killed run keeps what it
// measured.
class RunMetrics {
 public:
  explicit RunMetrics(const std::filesystem::path& path);  // throws Error(io)
  ~RunMetrics();
  RunMetrics(const RunMetrics&) = delete;
  RunMetrics& operator=(const RunMetrics&) = delete;

  void write(const std::vector<std::pair<std::string, double>>& numbers,
             const std::vector<std::pair<std::string, std::string>>& texts = {});

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace omni
