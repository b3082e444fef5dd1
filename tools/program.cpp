#include "program.h"

#include <cstdio>
#include <filesystem>
#include <iostream>
#include <map>
#include <string>
#include <system_error>
#include <vector>

#include "commands.h"
#include "help.h"
#include "omni/core/error.h"
#include "omni/core/log.h"
#include "omni/core/memory_error.h"
#include "omni/core/text_format.h"
#include "omni/core/utf8.h"
#include "usage.h"

namespace omni::tools {
namespace {

// Results that a full disk or a closed pipe swallowed are no success.
int with_output_flushed(int code) {
  std::cout.flush();
  const bool written = std::fflush(stdout) == 0 && std::ferror(stdout) == 0 && std::cout.good();
  if (written) return code;
  std::cerr << "omni: cannot write to standard output. Check the disk or the program that reads it\n";
  return code == kExitDone ? exit_code(ErrorKind::io) : code;
}

// What decides how much memory a command takes.
std::string what_to_make_smaller(const std::string& command) {
  static const std::map<std::string, std::string> kSizes = {
      {"omni data synth", "--render-size"},
      {"omni data import", "--render-size, or run it with fewer threads (OMP_NUM_THREADS)"},
      {"omni data preview", "--count or --size"},
      {"omni data tokenize", "--batch, or run it with fewer threads (OMP_NUM_THREADS)"},
      {"omni mesh render", "--views, --frames or --size"},
      {"omni mesh compare", "--grid or --points"},
      {"omni pretrain", "tokens_per_micro_batch or the model, or set recompute: true"},
      {"omni continue", "tokens_per_micro_batch, or set recompute: true"},
      {"omni finetune", "tokens_per_micro_batch, or set recompute: true"},
      {"omni sample", "--batch, --resolution or --detail"},
      {"omni eval", "chunk, mesh_resolution or surface_points"},
      {"omni tokenizer train text", "data.objects or vocabulary_size"},
      {"omni tokenizer train image", "batch_size, data.objects or the network"},
      {"omni tokenizer train shape", "batch, near_points, volume_points or the network"},
      {"omni tokenizer eval image", "--objects or --views"},
      {"omni tokenizer decode shape", "--resolution"},
  };
  const auto found = kSizes.find(command);
  return found == kSizes.end() ? "the input" : found->second;
}

int out_of_memory(const CLI::App& app) {
  const std::string command = command_path(chosen_command(app));
  std::cerr << command << ": out of memory. Make smaller: " << what_to_make_smaller(command) << '\n';
  return exit_code(ErrorKind::out_of_memory);
}

int tell(const Error& error) {
  std::cerr << "omni: " << printable_message(error.what()) << '\n';
  return exit_code(error.kind());
}

// The parser takes the word after "--prompt=" for its value; an empty word of its own is the value that is meant.
std::vector<std::string> with_empty_values(int argument_count, const char* const* arguments) {
  std::vector<std::string> words;
  bool options = true;
  for (int i = 0; i < argument_count; ++i) {
    std::string word = arguments[i];
    options = options && word != "--";
    const bool empty = options && word.starts_with("--") && word.find('=') == word.size() - 1;
    if (empty) word.pop_back();
    words.push_back(std::move(word));
    if (empty) words.emplace_back();
  }
  return words;
}

void parse(CLI::App& app, int argument_count, const char* const* arguments) {
  try {
    app.parse(argument_count, arguments);
  } catch (const CLI::CallForHelp&) {
    std::cout << help_of(chosen_command(app));
  } catch (const CLI::CallForVersion& version) {
    std::cout << version.what() << '\n';
  } catch (const CLI::RuntimeError&) {
    throw;  // a command's own exit code; it has said why
  } catch (const CLI::ParseError& error) {
    explain(app, error);
  }
}

int run(CLI::App& app, int argument_count, const char* const* arguments) {
  try {
    if (argument_count <= 1)
      std::cout << help_of(app);
    else
      parse(app, argument_count, arguments);
    return kExitDone;
  } catch (const CLI::RuntimeError& judged) {
    return judged.get_exit_code();
  } catch (const Error& error) {
    return tell(error);
  } catch (const std::filesystem::filesystem_error& error) {
    return tell(Error(ErrorKind::io, concat("cannot access '", error.path1().string(), "': ",
                                            error.code().message(), ". Check the path and its permissions")));
  } catch (const std::system_error& error) {  // no more threads, say
    return tell(Error(ErrorKind::io, concat("the system refuses: ", error.what())));
  } catch (const std::exception& error) {
    if (tells_of_memory(error)) return out_of_memory(app);
    // LibTorch appends a stack trace.
    return tell(Error(ErrorKind::internal, "internal error: " + first_line(error.what())));
  }
}

}  // namespace

std::unique_ptr<CLI::App> make_command_line() {
  auto app = std::make_unique<CLI::App>(
      "omni: train and run a 3D-native foundation model on text, images and meshes", "omni");
  app->require_subcommand(1);
  app->fallthrough();
  app->group("Commands");
  app->formatter(make_help_formatter());
  app->option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  app->set_help_flag("-h,--help", "print this help");
  app->set_version_flag("--version", "omni " OMNI_VERSION, "print the version");
  app->add_option_function<std::string>(
      "--log", [](const std::string& level) { set_log_level(parse_log_level(level)); },
      "debug, info, warning, error or off");
  add_info_command(*app);
  add_mesh_command(*app);
  add_data_command(*app);
  add_tokenizer_command(*app);
  add_train_commands(*app);
  add_checkpoint_command(*app);
  add_import_command(*app);
  add_init_command(*app);
  add_model_command(*app);
  add_sample_command(*app);
  add_eval_command(*app);
  add_plot_command(*app);
  add_help_command(*app);
  app->footer(exit_code_help());
  return app;
}

int run_program(int argument_count, const char* const* arguments) {
  const std::unique_ptr<CLI::App> app = make_command_line();
  const std::vector<std::string> words = with_empty_values(argument_count, arguments);
  std::vector<const char*> all;
  for (const std::string& word : words) all.push_back(word.c_str());
  return with_output_flushed(run(*app, static_cast<int>(all.size()), all.data()));
}

}  // namespace omni::tools
