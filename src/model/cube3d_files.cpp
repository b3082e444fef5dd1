#include "omni/model/cube3d_files.h"

#include <algorithm>
#include <string>
#include <system_error>
#include <vector>

#include "omni/core/error.h"

namespace omni::model {
namespace {

namespace fs = std::filesystem;

constexpr const char *kGptIndexName = "shape_gpt.safetensors.index.json",
                     *kShapeTokenizerName = "shape_tokenizer.safetensors";

// What cannot be looked at is not there.
bool has(const fs::path& folder, const char* name) {
  std::error_code unreadable;
  return fs::is_regular_file(folder / name, unreadable);
}
bool is_folder(const fs::path& path) {
  std::error_code unreadable;
  return fs::is_directory(path, unreadable);
}

// Where a CLIP may lie, and which of its files are missing there.
struct ClipPlace {
  fs::path folder;
  std::vector<std::string> missing;

  std::string missing_names() const {
    std::string names;
    for (const std::string& name : missing) names += (names.empty() ? "" : ", ") + name;
    return names;
  }
};

ClipPlace clip_place(const fs::path& folder) {
  ClipPlace place{folder, {}};
  if (!has(folder, "model.safetensors") && !has(folder, "model.safetensors.index.json"))
    place.missing.emplace_back("model.safetensors");
  if (!has(folder, "config.json") && !has(folder, "public.yaml")) place.missing.emplace_back("config.json");
  if (!has(folder, "tokenizer.json")) place.missing.emplace_back("tokenizer.json");
  return place;
}

// The folder and those in it.
std::vector<fs::path> folders_near(const fs::path& folder) {
  std::vector<fs::path> folders = {folder};
  std::error_code failure;
  for (fs::directory_iterator entry(folder, failure), end; !failure && entry != end; entry.increment(failure))
    if (is_folder(entry->path())) folders.push_back(entry->path());
  if (failure)
    fail(ErrorKind::io, "reading a Cube3D in '", folder.string(),
         "': the folder cannot be listed: ", failure.message(), ". Make it readable");
  std::sort(folders.begin() + 1, folders.end());
  return folders;
}

fs::path clip_in(const fs::path& folder) {
  std::vector<ClipPlace> places;
  for (const fs::path& near : folders_near(folder)) places.push_back(clip_place(near));
  std::stable_sort(places.begin(), places.end(), [](const ClipPlace& a, const ClipPlace& b) {
    return a.missing.size() < b.missing.size();
  });
  const ClipPlace& best = places.front();
  if (!best.missing.empty())
    fail(ErrorKind::io, "reading a Cube3D in '", folder.string(),
         "': its text tower, CLIP ViT-L/14, is neither there nor in a folder there: '", best.folder.string(),
         "', which comes nearest, lacks ", best.missing_names(),
         ". Fetch what is missing, or name the tower's folder with --text");
  if (places.size() > 1 && places[1].missing.empty())
    fail(ErrorKind::usage, "reading a Cube3D in '", folder.string(), "': '", best.folder.string(), "' and '",
         places[1].folder.string(), "' could both be its text tower. Name one with --text");
  return best.folder;
}

void require_file(const fs::path& folder, const char* name) {
  if (has(folder, name)) return;
  std::string hint = "Fetch it, or name the folder that holds it";
  if (has(folder, "public.yaml")) hint = "The folder was imported: give it as the model itself";
  fail(ErrorKind::io, "reading a Cube3D in '", folder.string(), "': ", name, " is missing. ", hint);
}

}  // namespace

std::optional<Cube3dVersion> parse_cube3d_version(std::string_view name) {
  if (name == "cube3d-v0.5") return Cube3dVersion::v0_5;
  if (name == "cube3d-v0.1") return Cube3dVersion::v0_1;
  return {};
}

fs::path published_gpt(const fs::path& path) {
  for (const char* name : {kPublishedGptName, kGptIndexName})
    if (has(path, name)) return path / name;
  return path;
}

fs::path published_shape_tokenizer(const fs::path& path) {
  return has(path, kShapeTokenizerName) ? path / kShapeTokenizerName : fs::path();
}

Cube3dFiles find_cube3d(const fs::path& folder, Cube3dVersion version, const fs::path& text,
                        const fs::path& config) {
  if (!is_folder(folder))
    fail(ErrorKind::io, "reading a Cube3D in '", folder.string(), "': there is no such folder");
  const fs::path gpt = published_gpt(folder);
  if (gpt == folder) require_file(folder, kPublishedGptName);
  require_file(folder, kShapeTokenizerName);
  Cube3dFiles files{.weights = gpt,
                    .config = {},
                    .text = {.weights = text, .config = {}, .tokenizer = {}},
                    .shape_tokenizer = published_shape_tokenizer(folder)};
  std::error_code unreadable;
  if (!text.empty() && !fs::exists(text, unreadable))
    fail(ErrorKind::io, "reading the text tower in '", text.string(), "': there is no such file or folder");
  if (text.empty()) {
    files.text.weights = clip_in(folder);
  } else if (is_folder(text)) {
    if (const ClipPlace place = clip_place(text); !place.missing.empty())
      fail(ErrorKind::io, "reading the text tower in '", text.string(), "': ", place.missing_names(),
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
