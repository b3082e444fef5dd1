#include "tokenizer_config.h"

#include "devices_option.h"
#include "omni/core/error.h"
#include "options.h"
#include "run_options.h"

namespace omni::tools {

void add_tokenizer_arguments(CLI::App& command, TokenizerArguments& arguments, const std::string& out_help) {
  command.add_option("config", arguments.config, "YAML file; without it, the defaults");
  command.add_option("--out", arguments.out, out_help + ", in place of the key output");
  add_overrides(command, arguments.overrides, "steps=2000");
  add_resume_option(command, arguments.run);
  command.add_flag("--dry-run", arguments.dry_run, "print the resolved config and stop");
}

void add_network_arguments(CLI::App& command, TokenizerArguments& arguments) {
  add_allow_change_option(command, arguments.run);
  add_devices_option(command, arguments.devices);
}

bool ran_as_tokenizer_ranks(const CLI::App& command, TokenizerArguments& arguments,
                            const std::string& device) {
  if (ran_as_local_ranks(arguments.devices, device)) return true;
  leave_news_to_first_rank(command);
  resume_where_launched_again(arguments.run);
  return false;
}

void read_tokenizer_config(TokenizerArguments& arguments,
                           const std::function<void(ConfigVisitor&)>& description) {
  std::string output;
  const ConfigFile file = arguments.config.empty() ? ConfigFile::parse("", "defaults", arguments.overrides)
                                                   : ConfigFile::load(arguments.config, arguments.overrides);
  file.read([&](ConfigVisitor& visitor) {
    visitor.text("output", output);
    description(visitor);
  });
  if (arguments.out.empty()) arguments.out = output;
  if (arguments.out.empty() && !arguments.dry_run)
    fail(ErrorKind::usage,
         "training a tokenizer: nothing says where to write it. Give --out, or the key output");
}

std::string tokenizer_config_yaml(const TokenizerArguments& arguments,
                                  const std::function<void(ConfigVisitor&)>& description) {
  std::string output = arguments.out;
  return config_to_yaml([&](ConfigVisitor& visitor) {
    visitor.text("output", output);
    description(visitor);
  });
}

}  // namespace omni::tools
