#pragma once

#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

#include "omni/core/files.h"
#include "omni/core/json_text.h"

namespace omni::test {

// The lines of a run's metrics.jsonl.
inline std::vector<nlohmann::json> metric_lines(const std::filesystem::path& file) {
  std::istringstream text(read_file_text(file));
  std::vector<nlohmann::json> lines;
  for (std::string line; std::getline(text, line);) lines.push_back(parse_json(line));
  return lines;
}

}  // namespace omni::test
