// omni tokenizer train shape.
#include <iostream>
#include <memory>

#include "commands.h"
#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/progress.h"
#include "omni/data/open_source.h"
#include "omni/training/shape_tokenizer_training.h"
#include "options.h"
#include "source_options.h"

namespace omni::tools {
namespace {

struct TrainArguments {
  std::string config, out;
  std::vector<std::string> overrides;
  std::int64_t seed = -1;
  data::SourceSpec source;
  bool dry_run = false, resume = false;
};

void train_shape(const TrainArguments& arguments, const CLI::App& command) {
  training::ShapeTokenizerTrainingConfig config;
  data::SourceSpec spec;
  const auto description = [&](ConfigVisitor& visitor) {
    training::describe(visitor, config);
    visitor.section("data", [&](ConfigVisitor& section) { data::describe(section, spec); });
  };
  const ConfigFile file = arguments.config.empty() ? ConfigFile::parse("", "defaults", arguments.overrides)
                                                   : ConfigFile::load(arguments.config, arguments.overrides);
  file.read(description);
  if (arguments.seed >= 0) config.seed = arguments.seed;
  apply_given(command, arguments.source, spec);
  training::validate(config);
  if (arguments.dry_run) {
    std::cout << config_to_yaml(description);
    return;
  }
  spec.split = data::Split::train;
  const auto train = data::open_source(spec);
  spec.split = data::Split::new_instance;
  const auto held_out = data::open_source(spec);
  if (train->fingerprint() == held_out->fingerprint())
    fail(ErrorKind::usage, "training a shape tokenizer on '", spec.source,
         "': mesh files have no held-out split to measure on. Make a data set of them with `omni data "
         "import`");
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
  shape->add_option("config", arguments->config, "YAML file; without it, the defaults");
  shape->add_option("--out", arguments->out, "folder to write")->required();
  add_number(*shape, "--seed", arguments->seed, kSeeds, "overrides the config's seed")->default_str("");
  add_source_options(*shape, arguments->source, ",--data");
  shape->add_option("--set", arguments->overrides, "override a key: --set minutes=5")
      ->take_all()
      ->expected(1);
  shape->add_flag("--resume", arguments->resume, "go on with a run that was stopped");
  shape->add_flag("--dry-run", arguments->dry_run, "print the resolved config and stop");
  shape->callback([arguments, shape] { train_shape(*arguments, *shape); });
}

}  // namespace

void add_tokenizer_train_shape_command(CLI::App& train) { add_train(train); }

}  // namespace omni::tools
