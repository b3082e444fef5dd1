#pragma once

#include <CLI/CLI.hpp>

#include <functional>
#include <string>
#include <vector>

#include "omni/core/config.h"
#include "omni/training/run_options.h"

namespace omni::tools {

// What the commands that train tokenizers have alike.

struct TokenizerArguments {
  std::string config;  // empty: the defaults
  std::string out;     // once the config is read, never empty but in a dry run
  std::vector<std::string> overrides;
  training::RunOptions run;
  bool dry_run = false;
  int devices = 1;
};

// [CONFIG], --out, --set, --resume and --dry-run. `arguments` must live as long as the command.
void add_tokenizer_arguments(CLI::App& command, TokenizerArguments& arguments, const std::string& out_help);
// --allow-change and --devices, of those that are networks.
void add_network_arguments(CLI::App& command, TokenizerArguments& arguments);
// Where more ranks than this process are asked for, runs the command as each of them and returns true; see
// ran_as_local_ranks(). Else makes this process ready to be one.
bool ran_as_tokenizer_ranks(const CLI::App& command, TokenizerArguments& arguments,
                            const std::string& device);

// Reads the keys that are described, and `output`, in whose place --out stands. Throws Error(usage), also
// where neither names an output and it is no dry run.
void read_tokenizer_config(TokenizerArguments& arguments,
                           const std::function<void(ConfigVisitor&)>& description);

// All keys as YAML, `output` as well.
std::string tokenizer_config_yaml(const TokenizerArguments& arguments,
                                  const std::function<void(ConfigVisitor&)>& description);

}  // namespace omni::tools
