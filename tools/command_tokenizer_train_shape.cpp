// omni tokenizer train shape.
#include <iostream>
#include <memory>

#include "commands.h"
#include "devices_option.h"
#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/progress.h"
#include "omni/data/open_source.h"
#include "omni/training/shape_tokenizer_training.h"
#include "options.h"
#include "run_options.h"
#include "source_options.h"
#include "tokenizer_config.h"

namespace omni::tools {
namespace {

struct TrainShapeArguments : TokenizerArguments {
  data::SourceSpec source;
  std::int64_t seed = -1;
};

void train_shape(TrainShapeArguments arguments, const CLI::App& command) {
  training::ShapeTokenizerTrainingConfig config;
  data::SourceSpec spec;
  const auto description = [&](ConfigVisitor& visitor) {
    training::describe(visitor, config);
    visitor.section("data", [&](ConfigVisitor& section) { data::describe(section, spec); });
  };
  read_tokenizer_config(arguments, description);
  if (arguments.seed >= 0) config.seed = arguments.seed;
  apply_given(command, arguments.source, spec);
  training::validate(config);
  if (arguments.dry_run) {
    std::cout << tokenizer_config_yaml(arguments, description);
    return;
  }
  if (ran_as_tokenizer_ranks(command, arguments, config.ranks.device)) return;
  spec.split = data::Split::train;
  const auto train = data::open_source(spec);
  spec.split = data::Split::new_instance;
  const auto held_out = data::open_source(spec);
  if (train->fingerprint() == held_out->fingerprint())
    fail(ErrorKind::usage, "training a shape tokenizer on '", spec.source,
         "': mesh files have no held-out split to measure on. Make a data set of them with `omni data "
         "import`");
  const auto summary =
      training::train_shape_tokenizer(config, *train, *held_out, arguments.out, arguments.run);
  if (!is_first_rank()) return;
  write_file_atomically(std::filesystem::path(arguments.out) / "training.yaml",
                        std::string_view(tokenizer_config_yaml(arguments, description)));
  std::cout << "shape tokenizer: " << summary.steps << " steps in " << format_duration(summary.seconds)
            << (summary.was_finished ? kWasFinished : "") << '\n'
            << (summary.report ? training::to_text(*summary.report) : "") << "saved: " << arguments.out
            << '\n';
}

void add_train(CLI::App& train) {
  CLI::App* shape =
      train.add_subcommand("shape", "grid or vecset autoencoder with geometry and colour codes");
  const auto arguments = std::make_shared<TrainShapeArguments>();
  add_tokenizer_arguments(*shape, *arguments, "folder to write");
  add_number(*shape, "--seed", arguments->seed, kSeeds, "overrides the config's seed")->default_str("");
  add_source_options(*shape, arguments->source);
  add_network_arguments(*shape, *arguments);
  shape->callback([arguments, shape] { train_shape(*arguments, *shape); });
}

}  // namespace

void add_tokenizer_train_shape_command(CLI::App& train) { add_train(train); }

}  // namespace omni::tools
