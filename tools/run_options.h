#pragma once

#include <CLI/CLI.hpp>

#include "omni/training/run_options.h"

namespace omni::tools {

// --resume and --allow-change, which every training command has.

// Of a run that --resume found finished, after what was done.
inline constexpr const char* kWasFinished = "; the run was finished. Raise steps or minutes to go on";

// `options` must live as long as the command.
void add_resume_option(CLI::App& command, training::RunOptions& options);
// What a launcher starts that starts it again after a failure goes on with what is there, without being told.
void resume_where_launched_again(training::RunOptions& options);
void add_allow_change_option(CLI::App& command, training::RunOptions& options);

}  // namespace omni::tools
