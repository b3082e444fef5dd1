#include "checkpoint.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/safetensors.h"

namespace omni::training {
namespace {

namespace fs = std::filesystem;

constexpr int kFormatVersion = 1;

std::vector<fs::path> checkpoints_in(const fs::path& output) {
  std::vector<fs::path> found;
  const fs::path folder = output / "checkpoints";
  if (!fs::is_directory(folder)) return found;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("step-") && !name.ends_with(".tmp") && fs::exists(entry.path() / "state.json"))
      found.push_back(entry.path());
  }
  // Names are padded with zeros, so their order is the order of steps.
  std::sort(found.begin(), found.end());
  return found;
}

bool inputs_are_texts(const nlohmann::json& state) {
  if (!state.contains("inputs")) return true;
  const nlohmann::json& inputs = state["inputs"];
  return inputs.is_object() && std::all_of(inputs.begin(), inputs.end(),
                                           [](const nlohmann::json& value) { return value.is_string(); });
}

}  // namespace

void save_checkpoint(const fs::path& output, const model::Bundle& bundle, const CheckpointTensors& tensors,
                     const RunState& state, std::int64_t kept) {
  char name[32];
  std::snprintf(name, sizeof name, "step-%08lld", static_cast<long long>(state.step));
  prepare_output_directory(output / "checkpoints");
  AtomicDirectory directory(output / "checkpoints" / name, "state.json");
  model::save_bundle(bundle, directory.staging_path() / "bundle", tensors.weights);

  nn::write_tensors(directory.staging_path() / "optimizer.safetensors", tensors.optimizer);
  const nlohmann::ordered_json json = {{"format_version", kFormatVersion},
                                       {"step", state.step},
                                       {"tokens", state.tokens},
                                       {"seconds", state.seconds},
                                       {"inputs", state.inputs}};
  write_file_atomically(directory.staging_path() / "state.json", json.dump(2) + "\n");
  directory.commit();

  const std::vector<fs::path> all = checkpoints_in(output);
  for (std::size_t i = 0; i + static_cast<std::size_t>(kept) < all.size(); ++i) {
    std::error_code ignored;
    fs::remove_all(all[i], ignored);
  }
}

std::optional<fs::path> newest_checkpoint(const fs::path& output) {
  const std::vector<fs::path> all = checkpoints_in(output);
  if (all.empty()) return std::nullopt;
  return all.back();
}

RunState load_run_state(const fs::path& checkpoint) {
  const fs::path path = checkpoint / "state.json";
  const nlohmann::json json = nlohmann::json::parse(read_file_text(path, 1 << 20), nullptr, false);
  if (!json.is_object() || !json.contains("format_version") || json["format_version"] != kFormatVersion ||
      !json.contains("step") || !json.contains("tokens") || !json.contains("seconds") ||
      !json["step"].is_number_integer() || !json["tokens"].is_number_integer() ||
      !json["seconds"].is_number() || !inputs_are_texts(json)) {
    fail(ErrorKind::input, "reading the checkpoint '", path.string(),
         "': it is damaged or of another version. Remove that folder to resume from the one before");
  }
  return {json["step"].get<std::int64_t>(), json["tokens"].get<std::int64_t>(), json["seconds"].get<double>(),
          json.value("inputs", RunInputs{})};
}

void load_optimizer(const fs::path& checkpoint, StageOptimizer& optimizer) {
  optimizer.load_state(SafetensorsFile(checkpoint / "optimizer.safetensors"));
}

}  // namespace omni::training
