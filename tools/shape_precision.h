#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "options.h"

namespace omni::tools {

// The option --precision of the commands that run a shape tokenizer.

inline void add_precision_option(CLI::App* command, std::string& precision) {
  add_choice(*command, "--precision", precision, {"fp32", "bf16"},
             "of the network's products; bf16: vecset layout alone");
}

}  // namespace omni::tools
