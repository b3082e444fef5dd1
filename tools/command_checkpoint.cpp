#include <algorithm>
#include <ctime>
#include <filesystem>
#include <iostream>
#include <memory>

#include "commands.h"
#include "omni/checkpoint/convert.h"
#include "omni/checkpoint/reader.h"
#include "omni/checkpoint/run_folder.h"
#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/name_pattern.h"
#include "omni/core/progress.h"
#include "omni/core/text_format.h"
#include "omni/model/bundle.h"
#include "omni/model/bundle_place.h"
#include "options.h"

namespace omni::tools {
namespace {

namespace fs = std::filesystem;

struct CheckpointArguments {
  std::string input, output;
  int shards = 1;
  std::string precision = "fp32";
  bool averages = false;
};

// Where the checkpoints of a run lie, by the run's output or by that folder itself; "" where there are none.
fs::path run_folder_in(const fs::path& path) {
  for (const fs::path& folder : {path / "checkpoints", path})
    if (!checkpoint::checkpoints_in(folder).empty()) return folder;
  return {};
}

[[noreturn]] void refuse(const fs::path& path) {
  fail(ErrorKind::io, "'", path.string(), "' holds no checkpoint: no folder with ", checkpoint::kManifestName,
       " and ", checkpoint::shard_name(0, 1), ". Name a run's output, or one of its ",
       "checkpoints, such as out/pretrain/checkpoints/step-00001000");
}

// Whether the folder is a checkpoint or was one, by its name or by its shards.
bool may_have_been_checkpoint(const fs::path& path) {
  if (!fs::is_directory(path)) return false;
  const fs::path named = path.filename().empty() ? path.parent_path() : path;
  if (checkpoint::step_of(named)) return true;
  const fs::directory_iterator files(path);
  return std::any_of(begin(files), end(files), [](const fs::directory_entry& file) {
    return matches_pattern("shard-*-of-*.safetensors", file.path().filename().string());
  });
}

// The checkpoint itself, or all those of a run.
std::vector<fs::path> named_checkpoints(const fs::path& path) {
  if (checkpoint::is_checkpoint(path)) return {path};
  std::vector<fs::path> all;
  for (const auto& entry : checkpoint::checkpoints_in(run_folder_in(path))) all.push_back(entry.path);
  if (all.empty()) refuse(path);
  return all;
}

// The checkpoint itself, or the newest of a run that is not damaged.
fs::path chosen_checkpoint(const fs::path& path) {
  if (checkpoint::is_checkpoint(path)) return path;
  const fs::path folder = run_folder_in(path);
  if (folder.empty()) refuse(path);
  return *checkpoint::newest_sound(folder);
}

std::string megabytes(std::uint64_t bytes) {
  return with_decimals(static_cast<double>(bytes) / 1e6, 2) + " MB";
}

std::string age_of(const checkpoint::Manifest& manifest) {
  if (manifest.written == 0) return "unknown";
  const double seconds = std::difftime(std::time(nullptr), static_cast<std::time_t>(manifest.written));
  return format_duration(seconds < 0 ? 0 : seconds);
}

void print_row(const std::string& name, const std::string& value) {
  std::cout << name << std::string(name.size() < 12 ? 12 - name.size() : 1, ' ') << value << '\n';
}

void show_one(const fs::path& path) {
  const checkpoint::CheckpointReader reader(path);
  const checkpoint::Manifest& manifest = reader.manifest();
  std::uint64_t bytes = 0;
  const std::vector<checkpoint::StoredFile> files = checkpoint::stored_files(path);
  for (const checkpoint::StoredFile& file : files) bytes += file.bytes;
  print_row("checkpoint", path.string());
  print_row("step", std::to_string(manifest.run.step));
  print_row("tokens", std::to_string(manifest.run.tokens));
  print_row("trained", format_duration(manifest.run.seconds));
  print_row("ranks", std::to_string(std::max<std::size_t>(1, manifest.shards.size())));
  print_row("tensors", std::to_string(reader.tensors().size()));
  print_row("size", megabytes(bytes));
  for (const checkpoint::StoredFile& file : files) print_row("  " + file.name, megabytes(file.bytes));
  print_row("age", age_of(manifest));
  if (!manifest.config.empty()) std::cout << "config:\n" << manifest.config;
}

void show(const CheckpointArguments& arguments) {
  const std::vector<fs::path> all = named_checkpoints(arguments.input);
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (i > 0) std::cout << '\n';
    show_one(all[i]);
  }
}

void verify(const CheckpointArguments& arguments) {
  const fs::path path = arguments.input;
  const bool is_run = !checkpoint::is_checkpoint(path) && !run_folder_in(path).empty();
  if (!is_run && !checkpoint::is_checkpoint(path) && !may_have_been_checkpoint(path)) refuse(path);
  bool sound = true;
  for (const fs::path& checkpoint : is_run ? named_checkpoints(path) : std::vector<fs::path>{path}) {
    const std::vector<std::string> damage = checkpoint::damage_of(checkpoint);
    for (const std::string& wrong : damage) std::cout << "damaged: " << wrong << '\n';
    if (damage.empty()) std::cout << "sound: " << checkpoint.string() << '\n';
    sound = sound && damage.empty();
  }
  if (!sound) throw CLI::RuntimeError(kExitNo);
}

void convert(const CheckpointArguments& arguments) {
  checkpoint::convert_checkpoint(chosen_checkpoint(arguments.input), arguments.output, arguments.shards);
  std::cout << "saved: " << arguments.output << '\n';
}

// As the end of a run would leave it.
void export_bundle(const CheckpointArguments& arguments) {
  model::require_bundle_place(arguments.output);
  const fs::path path = chosen_checkpoint(arguments.input);
  model::Bundle bundle = arguments.averages ? model::load_averaged_bundle(path) : model::load_bundle(path);
  bundle.transformer->fold_codebooks();
  model::save_bundle(bundle, arguments.output, arguments.precision == "bf16" ? at::kBFloat16 : at::kFloat);
  std::cout << "bundle: " << arguments.output << '\n';
}

CLI::App* add(CLI::App& parent, const char* name, const char* description,
              const std::shared_ptr<CheckpointArguments>& arguments,
              void (*run)(const CheckpointArguments&)) {
  CLI::App* command = parent.add_subcommand(name, description);
  command->add_option("checkpoint", arguments->input, "a checkpoint's folder, or the output of a run")
      ->required();
  command->callback([arguments, run] { run(*arguments); });
  return command;
}

}  // namespace

void add_checkpoint_command(CLI::App& app) {
  CLI::App* checkpoint = app.add_subcommand("checkpoint", "show, verify, convert and export checkpoints");
  checkpoint->require_subcommand(1);
  const auto a = std::make_shared<CheckpointArguments>();
  add(*checkpoint, "show", "step, tokens, ranks, files, sizes, age and config, of a run's every checkpoint",
      a, show);
  add(*checkpoint, "verify",
      "compare every checksum; exits with 0 if all are right, 1 if not, and names what is damaged", a,
      verify);
  CLI::App* command = add(*checkpoint, "convert",
                          "write it anew, from an older format or for another number of ranks", a, convert);
  command->add_option("out", a->output, "the new checkpoint's folder, beside which common/ will lie")
      ->required();
  add_number(*command, "--shards", a->shards, {1, 4096}, "files to write, one for each rank");
  command = add(*checkpoint, "export", "the bundle in it, as the end of a run leaves it", a, export_bundle);
  command->add_option("out", a->output, "the bundle's folder, for 'omni sample --model'")->required();
  add_choice(*command, "--precision", a->precision, {"fp32", "bf16"}, "of the weights in the file");
  command->add_flag("--ema", a->averages, "with the average of the weights, of a run with ema.decay");
}

}  // namespace omni::tools
