#pragma once

#include "omni/training/run_options.h"
#include "omni/training/stage_config.h"
#include "run_record.h"

namespace omni::training {

// What of a stage's config may change when its run is resumed.

// Fingerprints of what the stage reads; `shards` is that of its token data set.
RunInputs stage_inputs(const StageConfig& config, std::uint64_t shards);

// Throws Error(usage) where `config` makes another run than the one in config.output, whose inputs were
// `earlier`.
void refuse_another_run(const StageConfig& config, const RunInputs& earlier, const RunInputs& now,
                        const std::vector<std::string>& allowed_changes);

// Throws Error(usage) where `config` has other adapters than the run in config.output: before the checkpoint is read, of which they
// would miss a tensor.
void refuse_other_adapters(const StageConfig& config);

}  // namespace omni::training
