#pragma once

#include <CLI/CLI.hpp>

#include <string>
#include <vector>

namespace omni::tools {

// Mistakes in a command line, in words.

// The command that the command line chose, as far as it was understood; `app` itself where it chose none.
const CLI::App& chosen_command(const CLI::App& app);

// "omni mesh render".
std::string command_path(const CLI::App& command);

// The command that the words name, from `app` downwards. Throws Error(usage) with the nearest name for a word
// that names none.
const CLI::App& find_command(const CLI::App& app, const std::vector<std::string>& words);

// Throws Error(usage), which says what is wrong and what would be right, for an error that parsing threw.
[[noreturn]] void explain(const CLI::App& app, const CLI::ParseError& error);

}  // namespace omni::tools
