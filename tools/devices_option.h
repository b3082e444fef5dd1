#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace omni::tools {

// --devices: as many ranks of one command on this host.

void add_devices_option(CLI::App& command, int& devices);

// Where `devices` ranks are asked for and this process is not one of them yet: runs this very command as each of
// them, waits for their end and returns true; throws CLI::RuntimeError with the first exit code that is not 0. Else
// false: this process does the work. `device` is "cpu" or "cuda". Throws Error(usage) for more ranks than the host
// can take and where another launcher has started this process.
bool ran_as_local_ranks(int devices, const std::string& device);

bool is_first_rank();  // of those that any launcher has started, this process among them

// Of a command that all ranks run: what is no warning is the same on each, and is told by the first, unless --log
// asks for more.
void leave_news_to_first_rank(const CLI::App& command);

}  // namespace omni::tools
