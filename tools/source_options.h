#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "omni/data/open_source.h"

namespace omni::tools {

// The options that say where a command's objects come from.

// --source, --label, --epsilon, and --world-seed, which is returned. `older_source` is a further spelling
// (",--meshes").
CLI::Option* add_source_options(CLI::App& command, data::SourceSpec& spec,
                                const std::string& older_source = "");

// What was given of these options replaces what `spec`, say from a YAML file, has.
void apply_given(const CLI::App& command, const data::SourceSpec& given, data::SourceSpec& spec);

// --split, with `spec.split` as its default.
CLI::Option* add_split_option(CLI::App& command, data::SourceSpec& spec);

}  // namespace omni::tools
