#include <charconv>
#include <cmath>
#include <iostream>

#include "commands.h"
#include "devices_option.h"
#include "omni/core/error.h"
#include "omni/core/json_text.h"
#include "omni/core/progress.h"
#include "omni/core/utf8.h"
#include "omni/training/stage.h"
#include "omni/training/trainer.h"
#include "options.h"
#include "run_options.h"

namespace omni::tools {
namespace {

constexpr std::int64_t kMostProfiled = 100;  // steps

struct TrainArguments {
  std::string config, out;
  std::vector<std::string> overrides;
  int devices = 1, ranks = 1;
  training::TrainerOptions options;
};

// "steps=10..12", or "steps=10".
training::StepRange parse_profile(const std::string& text) {
  constexpr std::string_view kKey = "steps=";
  constexpr const char* kWanted = "; it takes steps=FIRST..LAST, as in steps=10..12";
  std::string_view rest = text;
  if (!rest.starts_with(kKey)) fail(ErrorKind::usage, "--profile ", text, kWanted);
  rest.remove_prefix(kKey.size());
  const auto number = [&] {
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
    if (error != std::errc() || value < 1) fail(ErrorKind::usage, "--profile ", text, kWanted);
    rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
    return value;
  };
  training::StepRange steps{.first = number(), .last = 0};
  steps.last = steps.first;
  if (rest.starts_with("..")) {
    rest.remove_prefix(2);
    steps.last = number();
  }
  if (!rest.empty()) fail(ErrorKind::usage, "--profile ", text, kWanted);
  if (steps.last < steps.first || steps.last - steps.first >= kMostProfiled)
    fail(ErrorKind::usage, "--profile ", text, ": between 1 and ", kMostProfiled,
         " steps can be profiled, the first of them first");
  return steps;
}

void add_stage(CLI::App& app, const training::Stage& stage) {
  const std::string name(stage.name);
  CLI::App* command = app.add_subcommand(name, std::string(stage.help));
  const auto arguments = std::make_shared<TrainArguments>();
  command->add_option("config", arguments->config, "the stage's YAML file")->required();
  add_overrides(*command, arguments->overrides, "schedule.peak_learning_rate=1e-3");
  command->add_option("--out", arguments->out,
                      "folder for checkpoints and metrics, in place of the key output");
  add_resume_option(*command, arguments->options.run);
  add_allow_change_option(*command, arguments->options.run);
  add_devices_option(*command, arguments->devices);
  command
      ->add_option_function<std::string>(
          "--profile",
          [arguments](const std::string& text) { arguments->options.profile = parse_profile(text); },
          "write a timeline of these steps for Perfetto or chrome://tracing into the output, one file per rank")
      ->type_name("steps=FIRST..LAST");
  CLI::Option* dry_run =
      command->add_flag("--dry-run", arguments->options.dry_run,
                        "print the resolved config, parameters, memory and FLOPs per step, then stop");
  constexpr double kMostRanks = 1 << 20;
  CLI::Option* ranks =
      add_number(*command, "--ranks", arguments->ranks, {1, kMostRanks},
                 "for --dry-run: those of all hosts together; those of --devices unless told")
          ->needs(dry_run);
  command
      ->add_option(
          "--gpu", arguments->options.gpu,
          "for --dry-run: estimate the time of a step on such GPUs, too: a100, h100, h200, or a YAML file that "
          "describes another device (docs/scaling.md)")
      ->needs(dry_run);
  constexpr double kLeast = 0.001, kMost = 1e6;
  add_number(*command, "--device-memory-gb", arguments->options.device_memory_gb, {kLeast, kMost},
             "of each rank's device, for --dry-run to say whether it fits; the GPU that is here unless told")
      ->needs(dry_run);
  command->callback([name, arguments, ranks, command] {
    std::vector<std::string> overrides = arguments->overrides;
    // As a YAML string whatever characters the path has.
    if (!is_utf8(arguments->out))
      fail(ErrorKind::usage,
           "--out: the folder's name is not UTF-8, which a configuration has to be. Choose another");
    if (!arguments->out.empty()) overrides.push_back("output=" + json_text(nlohmann::json(arguments->out)));
    const training::StageConfig config = training::load_stage_config(arguments->config, name, overrides);
    arguments->options.ranks = ranks->count() > 0 ? arguments->ranks : arguments->devices;
    if (!arguments->options.dry_run && ran_as_local_ranks(arguments->devices, config.device)) return;
    leave_news_to_first_rank(*command);
    resume_where_launched_again(arguments->options.run);
    const training::TrainingSummary summary = training::run_stage(config, arguments->options);
    if (arguments->options.dry_run || !is_first_rank()) return;
    std::cout << name << ": " << summary.steps << " steps, " << summary.tokens << " tokens in "
              << format_duration(summary.seconds);
    if (summary.was_finished)
      std::cout << kWasFinished;
    else
      std::cout << ", loss " << summary.loss;
    for (const training::EarlierLoss& task : summary.earlier_losses) {
      std::cout << "\nearlier task " << task.task << ": loss " << task.after;
      if (std::isfinite(task.before)) std::cout << ", was " << task.before;
    }
    std::cout << "\nbundle: " << summary.bundle.string() << '\n';
  });
}

}  // namespace

void add_train_commands(CLI::App& app) {
  for (const training::Stage& stage : training::stages()) add_stage(app, stage);
}

}  // namespace omni::tools
