#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "omni/core/line_file.h"

namespace omni {

// Numbers by step for TensorBoard: TFRecords of tensorflow.Event messages (tensorflow/core/util/event.proto).
// Each record is in the file as soon as it is written.
class EventFile {
 public:
  // Begins <folder>/events.out.tfevents.<seconds>.<host>.<process>, by name after those that are there.
  // TensorBoard then forgets what earlier files of the folder tell of `first_step` and after. Throws Error(io).
  EventFile(const std::filesystem::path& folder, std::int64_t first_step);

  // Rounds to fp32. Throws Error(io); the file is then as it was.
  void write(std::int64_t step, const std::vector<std::pair<std::string, double>>& numbers);

 private:
  LineFile file_;
};

}  // namespace omni
