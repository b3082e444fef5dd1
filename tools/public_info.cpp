#include "public_info.h"

#include <cstdio>
#include <system_error>

#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/text_format.h"
#include "omni/core/weight_source.h"
#include "omni/model/public_model.h"

namespace omni::tools {
namespace {

namespace fs = std::filesystem;

void print_tower(const char* name, const model::ClipTowerConfig& tower) {
  std::printf("%-18s%lld blocks, width %lld, MLP %lld, %lld heads\n", name,
              static_cast<long long>(tower.layers), static_cast<long long>(tower.width),
              static_cast<long long>(tower.mlp_width), static_cast<long long>(tower.heads));
}

void print_clip(const model::ClipConfig& clip) {
  if (clip.text) print_tower("text tower", *clip.text);
  if (clip.vision) print_tower("vision tower", *clip.vision);
}

// A Cube3D's, which is either.
void print_text_tower(const model::PublicDescription& text) {
  if (text.family != model::PublicFamily::qwen3) return print_clip(text.clip);
  const model::Qwen3Config& qwen3 = text.qwen3;
  std::printf("text tower        Qwen3, %lld blocks, width %lld, MLP %lld, %lld heads\n",
              static_cast<long long>(qwen3.layers), static_cast<long long>(qwen3.width),
              static_cast<long long>(qwen3.mlp_width), static_cast<long long>(qwen3.heads));
}

// Rows that a text has by it.
std::int64_t text_rows(const model::PublicDescription& text) {
  if (text.family == model::PublicFamily::qwen3) return model::kQwen3TextRows;
  return text.clip.text ? text.clip.text->positions : 0;
}

[[noreturn]] void refuse_published(const fs::path& folder, model::PublicFamily family) {
  const char *model = "Cube3D", *command = "cube3d", *others = " --text CLIP";
  if (family != model::PublicFamily::cube3d) {
    const bool clip = family == model::PublicFamily::clip;
    model = clip ? "CLIP" : "Qwen3";
    command = clip ? "clip" : "qwen3";
    others = "";
  }
  fail(ErrorKind::usage, "reading '", folder.string(), "': it holds a ", model,
       " as it was published. Name the folder that `omni import ", command, " ", folder.string(), others,
       " --out FOLDER` makes of it");
}

const char* tokenizer_in(const fs::path& folder) {
  return fs::exists(folder / "tokenizer.json") ? "tokenizer.json" : "none";
}

}  // namespace

std::string millions_in(const fs::path& folder) {
  return with_decimals(1e-6 * WeightSource(folder).element_count(), 1) + " million parameters";
}

void refuse_weights(const fs::path& path) {
  std::error_code unreadable;
  if (!model::is_public_folder(path))
    if (const std::optional<model::PublicFamily> family = model::published_family(path))
      refuse_published(path, *family);
  if (!fs::is_regular_file(path, unreadable)) return;
  const std::string extension = lower_extension(path);
  if (extension == ".safetensors" || extension == ".pt" || extension == ".panels")
    fail(
        ErrorKind::usage, "reading '", path.string(),
        "': it is a file of weights, which does not say what model they are of. Name a bundle, the folder that "
        "`omni import` makes of it, or a YAML file such as those in configs/model");
}

void print_public_folder(const fs::path& folder) {
  const model::PublicDescription d = model::describe_public(folder);
  switch (d.family) {
    case model::PublicFamily::cube3d: {
      const model::Cube3dFiles files = model::imported_cube3d(folder);
      std::printf("public model      Cube3D %s, %s\n", d.cube3d.box ? "v0.5" : "v0.1",
                  millions_in(folder).c_str());
      print_text_tower(model::describe_public(folder / "text"));
      std::printf("text tokenizer    %s\n", tokenizer_in(folder / "text"));
      if (files.shape_tokenizer.empty())
        std::printf("shape tokenizer   none\n");
      else
        std::printf("shape tokenizer   %lld codes a shape, of %lld\n",
                    static_cast<long long>(model::codes_per_shape(files)),
                    static_cast<long long>(d.cube3d.shape_codes));
      return;
    }
    case model::PublicFamily::clip:
      std::printf("public model      CLIP, %s\n", millions_in(folder).c_str());
      print_clip(d.clip);
      break;
    case model::PublicFamily::qwen3:
      std::printf("public model      Qwen3, %s\n", millions_in(folder).c_str());
      break;
  }
  std::printf("text tokenizer    %s\n", tokenizer_in(folder));
}

std::optional<model::ModelSizes> sizes_of_public_folder(const fs::path& folder) {
  const model::PublicDescription d = model::describe_public(folder);
  if (d.family == model::PublicFamily::clip) return {};
  model::ModelDescription described;
  described.cube3d = d.cube3d;
  described.qwen3 = d.qwen3;
  described.family = d.family == model::PublicFamily::cube3d ? "cube3d" : "qwen3";
  if (d.family == model::PublicFamily::cube3d) {
    // A text, the box, the start, and the codes; without a tokenizer nothing tells how many.
    const model::Cube3dFiles files = model::imported_cube3d(folder);
    described.context = text_rows(model::describe_public(folder / "text")) + (d.cube3d.box ? 1 : 0) + 1;
    if (!files.shape_tokenizer.empty()) described.context += model::codes_per_shape(files);
  }
  return model::model_sizes(described);
}

}  // namespace omni::tools
