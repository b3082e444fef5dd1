#pragma once

#include <CLI/CLI.hpp>

#include <memory>
#include <string>

namespace omni::tools {

// What `omni --help`, `omni help` and `omni COMMAND --help` print.

// Ranges and choices as words; to be set before commands are added.
std::shared_ptr<CLI::Formatter> make_help_formatter();

std::string help_of(const CLI::App& command);

// The exit codes, for the end of the program's own help.
std::string exit_code_help();

// omni help [COMMAND...]; after all other commands.
void add_help_command(CLI::App& app);

}  // namespace omni::tools
