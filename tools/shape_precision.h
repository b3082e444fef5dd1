// The option --precision of the commands that run a shape tokenizer.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace omni::tools {

inline void add_precision_option(CLI::App* command, std::string& precision) {
  command->add_option("--precision", precision, "of the network's products: fp32, or bf16 (vecset layout)")
      ->check(CLI::IsMember({"fp32", "bf16"}))
      ->capture_default_str();
}

}  // namespace omni::tools
