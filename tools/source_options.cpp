#include "source_options.h"

#include "omni/data/procedural_world.h"
#include "options.h"

namespace omni::tools {

CLI::Option* add_source_options(CLI::App& command, data::SourceSpec& spec, const std::string& older_source) {
  command
      .add_option("--source" + older_source, spec.source, "procedural, or a folder: a data set or mesh files")
      ->capture_default_str();
  command
      .add_option_function<std::string>(
          "--label",
          [&spec](const std::string& name) { spec.labels.mode = geometry::parse_label_mode(name); },
          "how mesh files tell inside from outside")
      ->default_str(std::string(label_mode_name(spec.labels.mode)));
  add_number(command, "--epsilon", spec.labels.epsilon, geometry::kEpsilons,
             "distance to which sheets of mesh files are thickened on either side, with the longest side at "
             "1.92");
  add_number(command, "--variation", spec.variation, data::kVariations,
             "of the procedural world: how far sizes may lie from the middle of what their word means");
  return add_number(command, "--world-seed", spec.seed, kSeeds,
                    "of the procedural world: which objects are held out, and their order");
}

void apply_given(const CLI::App& command, const data::SourceSpec& given, data::SourceSpec& spec) {
  if (command.count("--source") > 0) spec.source = given.source;
  if (command.count("--world-seed") > 0) spec.seed = given.seed;
  if (command.count("--variation") > 0) spec.variation = given.variation;
  if (command.count("--label") > 0) spec.labels.mode = given.labels.mode;
  if (command.count("--epsilon") > 0) spec.labels.epsilon = given.labels.epsilon;
}

CLI::Option* add_split_option(CLI::App& command, data::SourceSpec& spec) {
  std::string names;
  for (const std::string& name : data::split_names()) names += name + ", ";
  return command
      .add_option_function<std::string>(
          "--split", [&spec](const std::string& name) { spec.split = data::parse_split_choice(name); },
          names + "or, of a data set, all; mesh files have no splits")
      ->default_str(spec.split ? std::string(data::split_name(*spec.split)) : "all");
}

}  // namespace omni::tools
