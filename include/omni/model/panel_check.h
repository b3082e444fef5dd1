#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace omni::model {

enum class PanelState {
  sound,     // every byte is as it was written
  outdated,  // of other weights, or by an earlier version: decoding makes it anew
  damaged,
};

// A file of packed weights (see panel_file.h); `reason`: why it is not sound.
struct PanelCheck {
  std::filesystem::path file;
  PanelState state;
  std::string reason;
};

// Reads all of each such file of these weights, wherever it lies and in whichever format. `weights`: see
// WeightSource. Opening one for decoding looks at its header alone. Throws Error(io) where there are no weights.
std::vector<PanelCheck> check_panels(const std::filesystem::path& weights);

}  // namespace omni::model
