#include "usage.h"

#include <algorithm>
#include <cctype>
#include <string_view>
#include <utility>

#include "omni/core/config.h"
#include "omni/core/error.h"

namespace omni::tools {
namespace {

std::vector<const CLI::App*> commands_of(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App*) { return true; });
}

std::vector<std::string> names_of_commands(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : commands_of(app)) names.push_back(command->get_name());
  return names;
}

[[noreturn]] void refuse_command(const CLI::App& app, const std::string& word) {
  const std::vector<std::string> names = names_of_commands(app);
  const std::string nearest = nearest_word(word, names);
  fail(ErrorKind::usage, command_path(app), " has no command '", word, "'",
       nearest.empty() ? ". " : ". Did you mean '" + nearest + "'? ",
       "Commands here: ", CLI::detail::join(names, ", "));
}

// Those of the command and, as they may stand anywhere, of what it stands below.
std::vector<std::string> options_for(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::App* level = &command; level != nullptr; level = level->get_parent())
    for (const CLI::Option* option : level->get_options())
      for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  return names;
}

// Options that once had another name, by letters nearer to other options than to the one that took their
// place.
constexpr std::pair<std::string_view, std::string_view> kRenamedOptions[] = {{"--data", "--source"},
                                                                             {"--seed", "--world-seed"}};

std::string nearest_option(const CLI::App& command, const std::string& name) {
  const std::vector<std::string> names = options_for(command);
  for (const auto& [old_name, new_name] : kRenamedOptions)
    if (name == old_name && std::ranges::find(names, new_name) != names.end()) return std::string(new_name);
  return nearest_word(name, names);
}

[[noreturn]] void refuse_option(const CLI::App& command, const std::string& argument) {
  const std::string name = argument.substr(0, argument.find('='));
  const std::string nearest = nearest_option(command, name);
  fail(ErrorKind::usage, command_path(command), " has no option ", name,
       nearest.empty() ? concat(". See ", command_path(command), " --help")
                       : concat(". Did you mean ", nearest, "?"));
}

// What was left over explains best what went wrong: a misspelt option is missing under its right name, too.
void explain_rest(const CLI::App& command, std::vector<std::string> rest) {
  std::erase(rest, "--");
  const auto is_option = [](const std::string& word) { return word.size() > 1 && word.starts_with('-'); };
  if (command.get_require_subcommand_min() > 0) {
    const auto word = std::find_if_not(rest.begin(), rest.end(), is_option);
    if (word != rest.end()) refuse_command(command, *word);
  }
  const auto option = std::find_if(rest.begin(), rest.end(), is_option);
  if (option != rest.end()) refuse_option(command, *option);
  if (!rest.empty())
    fail(ErrorKind::usage, command_path(command), ": the argument '", rest.front(), "' is one too many. See ",
         command_path(command), " --help");
}

void explain_missing(const CLI::App& command) {
  for (const CLI::Option* option : command.get_options())
    if (option->get_required() && option->count() == 0)
      fail(ErrorKind::usage, command_path(command), ": ", option->get_name(),
           " is missing: ", option->get_description());
  if (command.get_require_subcommand_min() > 0)
    fail(ErrorKind::usage, command_path(command),
         " needs a command: ", CLI::detail::join(names_of_commands(command), ", "));
}

// "--seed" in "--seed: 1 required NUMBER missing".
std::string option_in(const std::string& message) {
  const std::size_t begin = message.find("--");
  if (begin == std::string::npos) return "an option";
  const auto end = std::find_if_not(message.begin() + static_cast<std::ptrdiff_t>(begin), message.end(),
                                    [](unsigned char c) { return std::isalnum(c) || c == '-'; });
  return std::string(message.begin() + static_cast<std::ptrdiff_t>(begin), end);
}

}  // namespace

const CLI::App& chosen_command(const CLI::App& app) {
  const CLI::App* command = &app;
  while (!command->get_subcommands().empty()) command = command->get_subcommands().back();
  return *command;
}

std::string command_path(const CLI::App& command) {
  const CLI::App* parent = command.get_parent();
  return parent == nullptr ? command.get_name() : command_path(*parent) + " " + command.get_name();
}

const CLI::App& find_command(const CLI::App& app, const std::vector<std::string>& words) {
  const CLI::App* found = &app;
  for (const std::string& word : words) {
    const std::vector<const CLI::App*> commands = commands_of(*found);
    const auto next = std::find_if(commands.begin(), commands.end(),
                                   [&](const CLI::App* command) { return command->get_name() == word; });
    if (next == commands.end()) refuse_command(*found, word);
    found = *next;
  }
  return *found;
}

void explain(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App& command = chosen_command(app);
  explain_rest(command, app.remaining(true));
  const std::string message = error.what(), option = option_in(message), path = command_path(command);
  if (dynamic_cast<const CLI::RequiredError*>(&error) != nullptr) explain_missing(command);
  if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr)
    fail(ErrorKind::usage, path, ": ", option, " needs a value");
  if (dynamic_cast<const CLI::ConversionError*>(&error) != nullptr)
    fail(ErrorKind::usage, path, ": ", option, " takes no value");
  fail(ErrorKind::usage, path, ": ", message);
}

}  // namespace omni::tools
