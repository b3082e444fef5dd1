#include <cmath>
#include <cstdio>
#include <iostream>
#include <memory>

#include "commands.h"
#include "omni/core/error.h"
#include "omni/evaluation/sweep.h"
#include "options.h"
#include "sample_memory.h"

namespace omni::tools {
namespace {

struct EvalArguments {
  std::string config, out;
  std::vector<std::string> overrides;
  bool dry_run = false;
};

void print_metric(const evaluation::TaskSummary& task, const char* metric) {
  const auto all = task.splits.find("all");
  if (all == task.splits.end()) return;
  const auto found = all->second.find(metric);
  if (found == all->second.end()) return;
  std::printf("  %-14s %8.4f  [%.4f, %.4f]  n=%lld\n", metric, found->second.mean, found->second.low,
              found->second.high, static_cast<long long>(found->second.count));
}

void print_summary(const evaluation::SweepOutcome& outcome, const std::filesystem::path& output) {
  for (const evaluation::TaskSummary& task : outcome.summary.tasks) {
    std::printf("%s | %s | %s\n", task.bundle.c_str(), task.task.c_str(), task.setting.c_str());
    for (const char* metric : {"iou",
                               "cd",
                               "f1",
                               "f2",
                               "class",
                               "colour",
                               "named_colour",
                               "closed",
                               "empty",
                               "words",
                               "psnr_db",
                               "over_retrieval",
                               "verbatim",
                               "verbatim_right",
                               "roughness",
                               "class_kept",
                               "edited_right",
                               "untouched_distance",
                               "untouched_kept",
                               "edit_right",
                               "shuffled_iou",
                               "nearest_iou",
                               "nearest_picture_iou",
                               "best_training_iou",
                               "ceiling_iou",
                               "ceiling_colour",
                               "ceiling_class",
                               "reader_class",
                               "image_psnr_db",
                               "copy_iou",
                               "copy_edited_right",
                               "copy_untouched_kept",
                               "copy_edit_right",
                               "ceiling_edited_right",
                               "ceiling_untouched_kept",
                               "ceiling_edit_right"}) {
      print_metric(task, metric);
    }
  }
  std::printf("%s\n", (output / "report.html").c_str());
}

void run_eval(const EvalArguments& arguments) {
  evaluation::SweepConfig config = evaluation::load_sweep_config(arguments.config, arguments.overrides);
  if (!arguments.out.empty()) config.output = arguments.out;
  if (arguments.dry_run) {
    std::cout << config_to_yaml([&](ConfigVisitor& visitor) { describe(visitor, config); });
    evaluation::check_sweep(config);
    return;
  }
  const evaluation::SweepOutcome outcome = evaluation::run_sweep(config);
  print_summary(outcome, config.output);
  tell_peak_memory(/*on_gpu=*/false);
}

}  // namespace

void add_eval_command(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("eval", "measure models: bundles x tasks x prompts x settings x seeds");
  const auto arguments = std::make_shared<EvalArguments>();
  command->add_option("config", arguments->config, "the sweep's YAML file")->required();
  add_overrides(*command, arguments->overrides, "prompts_per_split=8");
  command->add_option(
      "--out", arguments->out,
      "folder for results.jsonl, results.csv, summary.json and report.html, in place of the key output");
  command->add_flag("--dry-run", arguments->dry_run,
                    "print the resolved sweep, check that it can begin, and stop");
  command->callback([arguments] { run_eval(*arguments); });
}

}  // namespace omni::tools
