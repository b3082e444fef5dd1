#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "omni/evaluation/result_log.h"
#include "omni/evaluation/summary.h"
#include "omni/evaluation/sweep_config.h"

namespace omni::evaluation {

// One self-contained page: figures with intervals per task and split, settings side by side where there are
// several, controls, loss curves from the config's metrics files, and a gallery whose pictures are read from
// `output`, as are its meshes, which a viewer of the page's own turns. Missing pictures and metrics files are
// named on the page, not fatal.
std::string report_html(const SweepConfig& config, const std::vector<UnitResult>& units,
                        const SweepSummary& summary, const std::filesystem::path& output);

// Text for HTML: <, >, &, quotes escaped; bytes that are not UTF-8 become U+FFFD, control characters vanish.
std::string escape_html(std::string_view text);

}  // namespace omni::evaluation
