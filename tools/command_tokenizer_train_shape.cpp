// omni tokenizer train shape.
#include <iostream>
#include <memory>

#include "commands.h"
#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/progress.h"
#include "omni/data/data_set.h"
#include "omni/data/procedural_world.h"
#include "omni/training/shape_tokenizer_training.h"

namespace omni::tools {
namespace {

std::unique_ptr<data::ObjectSource> open_source(const std::string& folder, std::uint64_t world_seed,
                                                data::Split split) {
  if (folder.empty())
    return std::make_unique<data::ProceduralSource>(
        data::ProceduralOptions{.seed = world_seed, .split = split});
  return std::make_unique<data::FolderSource>(folder, split);
}

struct TrainArguments {
  std::string config, out, data;
  std::vector<std::string> overrides;
  std::int64_t seed = -1;
  std::uint64_t world_seed = 1;
  bool dry_run = false, resume = false;
};

void train_shape(const TrainArguments& arguments) {
  training::ShapeTokenizerTrainingConfig config;
  const auto description = [&](ConfigVisitor& visitor) { training::describe(visitor, config); };
  const ConfigFile file = arguments.config.empty() ? ConfigFile::parse("", "defaults", arguments.overrides)
                                                   : ConfigFile::load(arguments.config, arguments.overrides);
  file.read(description);
  if (arguments.seed >= 0) config.seed = arguments.seed;
  training::validate(config);
  if (arguments.dry_run) {
    std::cout << config_to_yaml(description);
    return;
  }
  const auto train = open_source(arguments.data, arguments.world_seed, data::Split::train);
  const auto held_out = open_source(arguments.data, arguments.world_seed, data::Split::new_instance);
  const auto summary =
      training::train_shape_tokenizer(config, *train, *held_out, arguments.out, arguments.resume);
  write_file_atomically(std::filesystem::path(arguments.out) / "training.yaml",
                        std::string_view(config_to_yaml(description)));
  std::cout << "shape tokenizer: " << summary.steps << " steps in " << format_duration(summary.seconds)
            << '\n'
            << (summary.report ? training::to_text(*summary.report) : "") << "saved: " << arguments.out
            << '\n';
}

void add_train(CLI::App& train) {
  CLI::App* shape =
      train.add_subcommand("shape", "grid or vecset autoencoder with geometry and colour codes");
  const auto arguments = std::make_shared<TrainArguments>();
  shape->add_option("--config", arguments->config, "YAML file; without it, the defaults");
  shape->add_option("--out", arguments->out, "folder to write")->required();
  shape->add_option("--seed", arguments->seed, "overrides the config's seed")->check(CLI::NonNegativeNumber);
  shape->add_option("--data", arguments->data, "a data set's folder; without it, the procedural world");
  shape->add_option("--world-seed", arguments->world_seed, "decides which objects of the world are held out")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  shape->add_option("--set", arguments->overrides, "override a key: --set minutes=5")
      ->take_all()
      ->expected(1);
  shape->add_flag("--resume", arguments->resume, "go on with a run that was stopped");
  shape->add_flag("--dry-run", arguments->dry_run, "print the resolved config and stop");
  shape->callback([arguments] { train_shape(*arguments); });
}

}  // namespace

void add_tokenizer_train_shape_command(CLI::App& train) { add_train(train); }

}  // namespace omni::tools
