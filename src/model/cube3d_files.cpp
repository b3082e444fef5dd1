#include "omni/model/cube3d_files.h"

#include <algorithm>
#include <vector>

#include "omni/core/error.h"

namespace omni::model {
namespace {

namespace fs = std::filesystem;

constexpr const char *kGptName = "shape_gpt.safetensors",
                     *kShapeTokenizerName = "shape_tokenizer.safetensors";

bool has(const fs::path& folder, const char* name) { return fs::is_regular_file(folder / name); }

// What a CLIP's folder lacks; empty: nothing.
std::string missing_of_clip(const fs::path& folder) {
  std::string missing;
  const auto add = [&](const char* name) { missing += concat(missing.empty() ? "" : ", ", name); };
  if (!has(folder, "model.safetensors") && !has(folder, "model.safetensors.index.json"))
    add("model.safetensors");
  if (!has(folder, "config.json") && !has(folder, "public.yaml")) add("config.json");
  if (!has(folder, "tokenizer.json")) add("tokenizer.json");
  return missing;
}

fs::path clip_in(const fs::path& folder) {
  std::vector<fs::path> places = {folder}, found;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder))
    if (entry.is_directory()) places.push_back(entry.path());
  std::copy_if(places.begin(), places.end(), std::back_inserter(found),
               [](const fs::path& place) { return missing_of_clip(place).empty(); });
  if (found.empty())
    fail(ErrorKind::io, "reading a Cube3D in '", folder.string(),
         "': its text tower, CLIP ViT-L/14, is neither there nor in a folder there (",
         missing_of_clip(folder), " are missing). Fetch it, or name its folder with --text");
  if (found.size() > 1) {
    std::sort(found.begin(), found.end());
    fail(ErrorKind::usage, "reading a Cube3D in '", folder.string(), "': '", found[0].string(), "' and '",
         found[1].string(), "' could both be its text tower. Name one with --text");
  }
  return found.front();
}

void require_file(const fs::path& folder, const char* name) {
  if (has(folder, name)) return;
  std::string hint = "Fetch it, or name the folder that holds it";
  if (has(folder, "public.yaml")) hint = "The folder was imported: give it as the model itself";
  fail(ErrorKind::io, "reading a Cube3D in '", folder.string(), "': ", name, " is missing. ", hint);
}

}  // namespace

Cube3dFiles find_cube3d(const fs::path& folder, Cube3dVersion version, const fs::path& text,
                        const fs::path& config) {
  if (!fs::is_directory(folder))
    fail(ErrorKind::io, "reading a Cube3D in '", folder.string(), "': there is no such folder");
  for (const char* name : {kGptName, kShapeTokenizerName}) require_file(folder, name);
  Cube3dFiles files{.weights = folder / kGptName,
                    .config = {},
                    .text = {.weights = text, .config = {}, .tokenizer = {}},
                    .shape_tokenizer = folder / kShapeTokenizerName};
  if (!text.empty() && !fs::exists(text))
    fail(ErrorKind::io, "reading the text tower in '", text.string(), "': there is no such file or folder");
  if (text.empty()) {
    files.text.weights = clip_in(folder);
  } else if (const std::string missing = fs::is_directory(text) ? missing_of_clip(text) : "";
             !missing.empty()) {
    fail(ErrorKind::io, "reading the text tower in '", text.string(), "': ", missing,
         " missing. Name the folder of CLIP ViT-L/14");
  }
  const bool has_box = WeightSource(files.weights).contains("bbox_proj.weight");
  if (has_box != (version == Cube3dVersion::v0_5))
    fail(ErrorKind::input, "reading '", files.weights.string(), "': it is Cube3D ", has_box ? "v0.5" : "v0.1",
         ", which ", has_box ? "has" : "lacks",
         " a projection of boxes (bbox_proj.weight). Name the version that it is");
  if (config.empty()) {
    files.config.box = has_box;
  } else {
    files.config = Cube3dGptConfig::load(config);
  }
  return files;
}

}  // namespace omni::model
