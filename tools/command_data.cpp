#include <cstdio>
#include <filesystem>
#include <memory>

#include "commands.h"
#include "omni/core/error.h"
#include "omni/core/log.h"
#include "omni/core/utf8.h"
#include "omni/data/data_set.h"
#include "options.h"

namespace omni::tools {
namespace {

struct SynthOptions {
  std::string out;
  data::SynthesisOptions synthesis;
  std::vector<std::string> splits = {"train"};
  std::int64_t count = 0, held_out = 0;
  bool no_renders = false;
};

void synthesise(SynthOptions& options) {
  for (const std::string& split : options.splits)
    options.synthesis.counts.emplace_back(data::parse_split(split), options.count);
  if (options.held_out > 0)
    for (const data::Split split : {data::Split::new_instance, data::Split::unseen_colour,
                                    data::Split::unseen_attribute, data::Split::unseen_count})
      options.synthesis.counts.emplace_back(split, options.held_out);
  for (std::size_t i = 0; i < options.synthesis.counts.size(); ++i)
    for (std::size_t j = 0; j < i; ++j)
      if (options.synthesis.counts[i].first == options.synthesis.counts[j].first)
        fail(ErrorKind::usage, "data synth: split ", data::split_name(options.synthesis.counts[i].first),
             " is asked for twice. Name each split once");
  if (options.no_renders) options.synthesis.renders = 0;
  data::synthesise_data_set(options.out, options.synthesis);
  std::printf("%s: %lld objects\n", options.out.c_str(),
              static_cast<long long>(data::FolderSource(options.out).size()));
}

void add_synth(CLI::App& data) {
  auto options = std::make_shared<SynthOptions>();
  CLI::App* command = data.add_subcommand("synth", "write a part of the procedural world as a data set");
  command->add_option("--out", options->out, "folder to write; an older one is replaced when all is done")
      ->required();
  add_number(*command, "--seed", options->synthesis.seed, kSeeds,
             "decides the held-out combinations and the order");
  add_number(*command, "--count", options->count, kCounts, "objects per split; 0: all");
  command
      ->add_option(
          "--split", options->splits,
          "train, new_instance, unseen_colour, unseen_attribute, unseen_count; more than one may be given")
      ->capture_default_str();
  add_number(*command, "--held-out", options->held_out, kCounts,
             "also this many objects of each held-out split");
  add_number(*command, "--renders", options->synthesis.renders, {0, 24},
             "pictures per object, for other programs; divides 24");
  add_number(*command, "--render-size", options->synthesis.render_size, {8, 2048}, "pixels a side");
  command->add_flag("--no-renders", options->no_renders, "the same as --renders 0");
  command->callback([options] { synthesise(*options); });
}

struct ImportCommand {
  std::vector<std::string> sources, captions;
  std::string out, label = "auto", up = "y";
  data::ImportOptions import;
  bool no_renders = false;
};

void import(ImportCommand& options) {
  const bool names = options.captions == std::vector<std::string>{"names"};
  if (!names && !options.captions.empty() && options.captions.size() != options.sources.size())
    fail(ErrorKind::usage, "data import: ", options.sources.size(), " folders but ", options.captions.size(),
         " captions files. Give one per folder, or none to use captions.csv in each, or --captions names");
  for (std::size_t i = 0; i < options.sources.size(); ++i) {
    const std::filesystem::path folder = options.sources[i];
    options.import.folders.push_back({folder, names ? std::filesystem::path()
                                              : options.captions.empty()
                                                  ? folder / "captions.csv"
                                                  : std::filesystem::path(options.captions[i])});
  }
  options.import.label = geometry::parse_label_mode(options.label);
  options.import.z_up = options.up == "z";
  if (options.no_renders) options.import.renders = 0;
  const data::ImportReport report = data::import_data_set(options.out, options.import);
  if (!report.skipped.empty()) {
    std::fprintf(stderr, "skipped:\n");
    for (const data::SkippedFile& file : report.skipped)
      std::fprintf(stderr, "  %s\n    %s\n", printable_message(file.path).c_str(),
                   printable_message(file.reason).c_str());
  }
  for (const data::FileWarning& file : report.warnings) log_warning(file.path, " ", file.warning);
  std::printf("%s: %lld objects, %zu files skipped\n", options.out.c_str(),
              static_cast<long long>(report.imported), report.skipped.size());
  if (!report.warnings.empty()) std::printf("  %zu warnings, in warnings.csv\n", report.warnings.size());
  for (const auto& [mode, count] : report.labels)
    std::printf("  labelled by %s: %lld\n", mode.c_str(), static_cast<long long>(count));
}

void add_import(CLI::App& data) {
  auto options = std::make_shared<ImportCommand>();
  CLI::App* command = data.add_subcommand("import", "turn folders of meshes with captions into a data set");
  command->add_option("source", options->sources, "folders with GLB, glTF, OBJ, PLY, STL or other meshes")
      ->required();
  command->add_option(
      "--captions", options->captions,
      "CSV with the columns path and caption, and optionally class, one per folder; default: captions.csv in "
      "each. names: every mesh, with its file name as caption");
  command->add_option("--out", options->out, "folder to write; an older one is replaced when all is done")
      ->required();
  add_choice(*command, "--label", options->label, geometry::label_mode_names(),
             "how inside and outside are told apart");
  add_number(*command, "--epsilon", options->import.epsilon, geometry::kEpsilons,
             "distance to which sheets are thickened on either side, with the longest side at 1.92");
  add_choice(*command, "--up", options->up, {"y", "z"}, "the files' up axis");
  add_number(*command, "--held-out-share", options->import.held_out_share, kShares,
             "share kept from training, by hash of the id");
  add_number(*command, "--renders", options->import.renders, {0, 24},
             "pictures per object, for other programs; divides 24");
  add_number(*command, "--render-size", options->import.render_size, {8, 2048}, "pixels a side");
  command->add_flag("--no-renders", options->no_renders, "the same as --renders 0");
  command->callback([options] { import(*options); });
}

}  // namespace

void add_data_command(CLI::App& app) {
  CLI::App* data = app.add_subcommand("data", "make, import, look at and tokenise data sets");
  data->require_subcommand(1);
  add_synth(*data);
  add_import(*data);
  add_data_preview_command(*data);
  add_data_tokenize_command(*data);
}

}  // namespace omni::tools
