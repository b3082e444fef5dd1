#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "omni/evaluation/result_log.h"
#include "omni/evaluation/sweep_config.h"

namespace omni::evaluation {

// The cards of the samples that were pictured, task by task. Their pictures and meshes are read from `output`:
// the meshes are in the page for its viewer, which comes with the first of them, as far as they fit, and linked
// as files.
std::string gallery(const SweepConfig& config, const std::vector<UnitResult>& units,
                    const std::filesystem::path& output);

}  // namespace omni::evaluation
