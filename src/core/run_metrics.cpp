#include "omni/core/run_metrics.h"

#include <cmath>
#include <fstream>

#include <nlohmann/json.hpp>

#include "omni/core/error.h"

namespace omni {

struct RunMetrics::State {
  std::filesystem::path path;
  std::ofstream stream;
};

RunMetrics::RunMetrics(const std::filesystem::path& path) : state_(std::make_unique<State>()) {
  state_->path = path;
  state_->stream.open(path, std::ios::app);
  if (!state_->stream)
    fail(ErrorKind::io, "cannot write metrics to '", path.string(),
         "'. Check that the folder exists and can be written to");
}

RunMetrics::~RunMetrics() = default;

void RunMetrics::write(const std::vector<std::pair<std::string, double>>& numbers,
                       const std::vector<std::pair<std::string, std::string>>& texts) {
  nlohmann::ordered_json line;
  for (const auto& [key, value] : texts) line[key] = value;
  for (const auto& [key, value] : numbers) {
    // JSON has no infinity; null keeps the line readable.
    if (std::isfinite(value))
      line[key] = value;
    else
      line[key] = nullptr;
  }
  state_->stream << line.dump() << '\n' << std::flush;
  if (!state_->stream)
    fail(ErrorKind::io, "cannot write metrics to '", state_->path.string(), "'. Is the disk full?");
}

}  // namespace omni
