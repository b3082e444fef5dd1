#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace omni::model {

// A file of packed weights (see panel_file.h), and what is wrong with it; nothing: every byte is as it was written.
struct PanelCheck {
  std::filesystem::path file;
  std::string damage;
};

// Reads all of each such file of these weights, wherever it lies and in whichever format. `weights`: see WeightSource. Opening
// one for decoding looks at its header alone. Throws Error(io) where there are no weights.
std::vector<PanelCheck> check_panels(const std::filesystem::path& weights);

}  // namespace omni::model
