// The `omni` program: parses the command line and turns errors into messages and exit codes.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include "commands.h"
#include "omni/core/config.h"
#include "omni/core/error.h"
#include "omni/core/interrupt.h"
#include "omni/core/log.h"

namespace {

// OpenMP threads that wait by spinning starve every other thread where cores are few: training beside one
// busy process ran at a tenth of its speed. Threads that sleep at once are slow to wake: 21,500 tokens/s of
// training instead of 25,400 with about 0.1 ms of spinning. The run-time library reads the count before main
// begins, so the program starts itself once more with it set. Whoever sets a variable decides.
void wait_with_little_spinning(char** arguments) {
  if (::getenv("OMP_WAIT_POLICY") != nullptr || ::getenv("GOMP_SPINCOUNT") != nullptr) return;
  ::setenv("GOMP_SPINCOUNT", "30000", 1);
  ::execv("/proc/self/exe", arguments);
  // Without /proc the program goes on as it is.
}

// CLI11 says of an unknown command only that a known one is missing.
void check_command_words(const CLI::App& app, int argument_count, char** arguments) {
  const CLI::App* level = &app;
  for (int i = 1; i < argument_count && level->get_require_subcommand_min() > 0; ++i) {
    const std::string word = arguments[i];
    if (word.starts_with('-')) return;
    std::vector<std::string> names;
    const CLI::App* next = nullptr;
    for (const CLI::App* command : level->get_subcommands([](const CLI::App*) { return true; })) {
      names.push_back(command->get_name());
      if (names.back() == word) next = command;
    }
    if (next == nullptr) {
      const std::string nearest = omni::nearest_word(word, names);
      std::string known;
      for (const std::string& name : names) known += (known.empty() ? "" : ", ") + name;
      omni::fail(omni::ErrorKind::usage, "no command '", word, "'",
                 nearest.empty() ? "" : ". Did you mean '" + nearest + "'?", nearest.empty() ? ". " : " ",
                 "Commands here: ", known);
    }
    level = next;
  }
}

// Results that a full disk or a closed pipe swallowed are no success.
int with_output_flushed(int code) {
  std::cout.flush();
  const bool written = std::fflush(stdout) == 0 && std::ferror(stdout) == 0 && std::cout.good();
  if (written) return code;
  std::cerr << "omni: cannot write to standard output. Check the disk or the program that reads it\n";
  return code == 0 ? omni::exit_code(omni::ErrorKind::io) : code;
}

int out_of_memory() {
  std::cerr << "omni: out of memory. Use a smaller model, batch or resolution\n";
  return omni::exit_code(omni::ErrorKind::io);
}

int run_command(CLI::App& app, int argument_count, char** arguments) {
  try {
    check_command_words(app, argument_count, arguments);
    app.parse(argument_count, arguments);
    return 0;
  } catch (const CLI::RuntimeError& error) {
    return error.get_exit_code();  // a command's own exit code; it has said why
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : omni::exit_code(omni::ErrorKind::usage);
  } catch (const omni::Error& error) {
    std::cerr << "omni: " << error.what() << '\n';
    return omni::exit_code(error.kind());
  } catch (const std::filesystem::filesystem_error& error) {
    std::cerr << "omni: cannot access '" << error.path1().string() << "': " << error.code().message()
              << ". Check the path and its permissions\n";
    return omni::exit_code(omni::ErrorKind::io);
  } catch (const std::bad_alloc&) {
    return out_of_memory();
  } catch (const std::exception& error) {
    // LibTorch appends a stack trace, and tells of memory by words alone.
    const std::string message = error.what();
    if (message.find("can't allocate memory") != std::string::npos) return out_of_memory();
    std::cerr << "omni: internal error: " << message.substr(0, message.find('\n')) << '\n';
    return omni::exit_code(omni::ErrorKind::internal);
  }
}

}  // namespace

int main(int argument_count, char** arguments) {
  wait_with_little_spinning(arguments);
  CLI::App app{"omni: train and run a 3D-native foundation model on text, images and meshes"};
  app.require_subcommand(1);
  app.fallthrough();
  app.set_version_flag("--version", "omni " OMNI_VERSION);
  std::string log_level = "info";
  app.add_option("--log", log_level, "debug, info, warning, error or off")
      ->each([](const std::string& level) { omni::set_log_level(omni::parse_log_level(level)); });
  using namespace omni::tools;
  add_info_command(app);
  add_mesh_command(app);
  add_data_command(app);
  add_tokenizer_command(app);
  add_train_commands(app);
  add_sample_command(app);
  add_eval_command(app);

  omni::install_interrupt_handler();
  return with_output_flushed(run_command(app, argument_count, arguments));
}
