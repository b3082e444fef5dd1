#include "old_format.h"

#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/json_text.h"

namespace omni::checkpoint {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr const char* kSteps = "optimizer.steps";

RunState read_state(const fs::path& path) {
  const Json json = parse_json_or_discard(read_file_text(path, 1 << 20));
  const auto refuse = [&] {
    fail(ErrorKind::input, "reading the checkpoint '", path.string(),
         "': it is damaged or of another version of omni");
  };
  const auto is_count = [&](const char* key) { return json.contains(key) && json[key].is_number_unsigned(); };
  if (!json.is_object() || !is_count("format_version") || json["format_version"] != 1 || !is_count("step") ||
      !is_count("tokens") || !json.contains("seconds") || !json["seconds"].is_number())
    refuse();
  RunState run;
  run.step = json["step"].get<std::int64_t>();
  run.tokens = json["tokens"].get<std::int64_t>();
  run.seconds = json["seconds"].get<double>();
  if (run.step < 0 || run.tokens < 0) refuse();
  const Json inputs = json.value("inputs", Json::object());
  if (!inputs.is_object()) refuse();
  for (const auto& [key, value] : inputs.items()) {
    if (!value.is_string()) refuse();
    run.inputs[key] = value.get<std::string>();
  }
  return run;
}

void add_pieces(const SafetensorsFile& file, const std::string& suffix, std::vector<Piece>& pieces) {
  for (const auto& [name, view] : file.tensors()) {
    if (name == kSteps) continue;
    if (view.dtype != DType::f32)
      fail(ErrorKind::input, "reading '", file.name(), "': tensor '", name, "' is not fp32");
    pieces.push_back({name + suffix, view.shape, 0, view.bytes});
  }
}

}  // namespace

bool is_old_checkpoint(const fs::path& folder) { return fs::exists(folder / kOldStateName); }

OldCheckpoint open_old_checkpoint(const fs::path& folder) {
  OldCheckpoint old;
  old.run = read_state(folder / kOldStateName);
  old.files.push_back(std::make_unique<SafetensorsFile>(folder / "bundle" / "model.safetensors"));
  old.files.push_back(std::make_unique<SafetensorsFile>(folder / "optimizer.safetensors"));
  add_pieces(*old.files[0], kValueSuffix, old.pieces);
  add_pieces(*old.files[1], "", old.pieces);
  const std::vector<std::int64_t> steps = old.files[1]->at(kSteps).to_vector<std::int64_t>();
  if (steps.size() != 1 || steps[0] < 0)
    fail(ErrorKind::input, "reading '", old.files[1]->name(), "': '", kSteps, "' is not one count");
  old.run.numbers[kOptimizerSteps] = static_cast<double>(steps[0]);
  return old;
}

}  // namespace omni::checkpoint
