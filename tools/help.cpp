#include "help.h"

#include <iomanip>
#include <iostream>
#include <sstream>
#include <vector>

#include "omni/core/error.h"
#include "usage.h"

namespace omni::tools {
namespace {

class HelpFormatter final : public CLI::Formatter {
 public:
  HelpFormatter() {
    label("REQUIRED", "(required)");
    label("Positionals", "Arguments");
    label("SUBCOMMAND", "COMMAND");
  }
  std::string make_usage(const CLI::App* app, std::string) const override {
    return CLI::Formatter::make_usage(app, command_path(*app));
  }
};

}  // namespace

std::shared_ptr<CLI::Formatter> make_help_formatter() { return std::make_shared<HelpFormatter>(); }

std::string help_of(const CLI::App& command) {
  return command.get_formatter()->make_help(&command, "", CLI::AppFormatMode::Normal);
}

std::string exit_code_help() {
  std::ostringstream text;
  text << "Exit codes:";
  for (const ExitCode& code : exit_codes()) text << '\n' << std::setw(5) << code.code << "  " << code.meaning;
  return text.str();
}

void add_help_command(CLI::App& app) {
  CLI::App* help = app.add_subcommand("help", "explain a command");
  const auto words = std::make_shared<std::vector<std::string>>();
  help->add_option("command", *words, "such as: mesh render");
  help->callback([words, &app] { std::cout << help_of(find_command(app, *words)); });
}

}  // namespace omni::tools
