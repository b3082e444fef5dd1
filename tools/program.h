#pragma once

#include <CLI/CLI.hpp>

#include <memory>

namespace omni::tools {

// The `omni` program: its commands, and how it ends.

std::unique_ptr<CLI::App> make_command_line();

// Runs one command line and turns errors into a message on standard error and an exit code (core/error.h).
int run_program(int argument_count, const char* const* arguments);

}  // namespace omni::tools
