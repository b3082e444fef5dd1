#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "omni/model/clip.h"
#include "omni/model/cube3d_gpt.h"
#include "omni/model/qwen3.h"
#include "omni/model/text_tower.h"
#include "omni/tokenizers/shape_tokenizer.h"
#include "omni/tokenizers/text_tokenizer.h"
#include "omni/tokenizers/tokenizer_set.h"

namespace omni::model {

// A public model in one folder that other commands open by its path alone:
//   public.yaml        the family and its sizes
//   model.safetensors  the tensors that the model needs, under the publisher's names and in the publisher's types
//   tokenizer.json     the text tokenizer (clip, qwen3); absent where none was given
//   text/              such a folder of the text tower, a CLIP's or a Qwen3 (cube3d)
//   shape_tokenizer/   as ShapeTokenizer::save leaves it (cube3d); absent where none was given
// Importing reads and checks all of it, so that what is in a folder is whole.
enum class PublicFamily { cube3d, clip, qwen3 };

// What a publisher gives.
struct PublicFiles {
  std::filesystem::path weights;    // see WeightSource
  std::filesystem::path config;     // empty: config.json beside the weights
  std::filesystem::path tokenizer;  // empty: tokenizer.json beside the weights, if there is one
};

// The folder appears whole or not at all; an older one of its kind at `out` is replaced. Throw Error(io), or Error(input)
// naming the file, and the tensor or key, and what was expected.
void import_qwen3(const PublicFiles& files, const std::filesystem::path& out);
// text_alone: without the vision tower.
void import_clip(const PublicFiles& files, bool text_alone, const std::filesystem::path& out);
// gpt.weights: a file, an index, or a folder with shape_gpt.safetensors or its index; gpt.config may be empty: sizes are
// those of v0.1 and v0.5 then, and the weights tell which. text: a publisher's CLIP or Qwen3, or one that was imported.
// shape_tokenizer: shape_tokenizer.safetensors; empty: the one in that folder, if there is one.
//
// The GPT's projection of texts is as wide as the features of its tower. Where a Qwen3's are of another width, a fresh one
// takes its place, to be trained.
struct ImportedCube3d {
  std::int64_t text_width = 0;
  bool fresh_text_projection = false;
};
ImportedCube3d import_cube3d(const PublicFiles& gpt, const PublicFiles& text,
                             const std::filesystem::path& shape_tokenizer, const std::filesystem::path& out);

// Whether it is such a folder. One that cannot be looked at is none.
bool is_public_folder(const std::filesystem::path& path);
// The family of what a publisher gives in a folder, which is still to be imported, by the files' names and config.json; nothing
// where there is none of these. Throws Error(io), and Error(input) for a config.json that cannot be read.
std::optional<PublicFamily> published_family(const std::filesystem::path& folder);
// Of such a folder. Throw Error(io) where there is none, Error(input) where it is damaged or of another family.
PublicFamily public_family(const std::filesystem::path& folder);
// What its description says, of that family.
struct PublicDescription {
  PublicFamily family = PublicFamily::cube3d;
  Cube3dGptConfig cube3d;
  ClipConfig clip;
  Qwen3Config qwen3;
  std::map<std::string, std::string> notes;  // of one that was trained further, as a bundle's; else none
};
PublicDescription describe_public(const std::filesystem::path& folder);

struct Qwen3WithTokenizer {
  std::unique_ptr<tokenizers::TextTokenizer> tokenizer;  // null without one
  std::unique_ptr<Qwen3> network;
};
Qwen3WithTokenizer load_qwen3(const std::filesystem::path& folder);
// What a network is made of: a publisher's files, or a folder that was imported. Of the weights only names are read.
struct Qwen3Source {
  Qwen3Config config;
  WeightSource weights;
  std::unique_ptr<tokenizers::TextTokenizer> tokenizer;  // null without one
};
Qwen3Source open_qwen3_source(const PublicFiles& files);

struct ClipWithTokenizer {
  std::unique_ptr<tokenizers::TextTokenizer> tokenizer;  // null without one
  std::unique_ptr<Clip> network;
};
ClipWithTokenizer load_clip(const std::filesystem::path& folder);
// The text tower of a publisher's files, or of a folder that was imported.
ClipWithTokenizer open_clip_text(const PublicFiles& files);
// The same of a CLIP or of a Qwen3.
std::unique_ptr<TextTower> open_text_tower(const PublicFiles& files);

// Where the parts of a Cube3D lie: in a folder that was imported, or as its publisher has them (see cube3d_files.h).
struct Cube3dFiles {
  std::filesystem::path weights;  // of the GPT; see WeightSource
  Cube3dGptConfig config;
  PublicFiles text;  // a publisher's CLIP or Qwen3, or one that was imported
  std::filesystem::path
      shape_tokenizer;  // the publisher's file, or a folder of ShapeTokenizer::save; empty: none
};
Cube3dFiles imported_cube3d(const std::filesystem::path& folder);
// Whether the headers of all these files say what the configuration, and the other parts, expect. No value is read, and
// nothing is allocated by what they say: to be asked before anything is sized, packed or copied. Throws Error(io), and
// Error(input) naming the file, the tensor and what was expected.
void require_fitting(const Cube3dFiles& files);
// How many codes a shape of its tokenizer has, which is not read for it. Throws Error(input) where there is none.
std::int64_t codes_per_shape(const Cube3dFiles& files);

// Ready to sample: with a shape tokenizer, the rows of the shape codes are made of its codebook.
struct Cube3dModel {
  std::unique_ptr<TextTower> text;
  std::unique_ptr<Cube3dGpt> gpt;
  std::unique_ptr<tokenizers::ShapeTokenizer> shape;  // null without one
};
// `mapped`: as Cube3dGpt's, for sampling in that format.
Cube3dModel load_cube3d(const std::filesystem::path& folder,
                        const std::optional<kernels::DecodeFormat>& mapped = {});
// Its text tower, which is needed before all else, and the rest of it, whose `text` is left null.
std::unique_ptr<TextTower> open_cube3d_text(const Cube3dFiles& files);
// Null where there is none.
std::unique_ptr<tokenizers::ShapeTokenizer> open_shape_tokenizer(const Cube3dFiles& files);
Cube3dModel open_cube3d(const Cube3dFiles& files, const std::optional<kernels::DecodeFormat>& mapped = {});
// The same on a GPU; see Cube3dGpt and ShapeTokenizer::to().
Cube3dModel open_cube3d(const Cube3dFiles& files, at::Device device, at::ScalarType matrix_type = at::kFloat);

// Its parts but for the GPT's weights, to train those. Throws as load_cube3d(), and where there is no tokenizer of texts or
// shapes.
struct Cube3dParts {
  Cube3dGptConfig config;
  std::filesystem::path weights;
  std::unique_ptr<TextTower> text;
  tokenizers::TokenizerSet tokenizers;  // of texts and shapes
};
Cube3dParts open_cube3d_parts(const std::filesystem::path& folder);

// The folder `start` with the GPT that was trained from it (see export_cube3d()), whose weights are there under the
// publisher's name as well, shape_gpt.safetensors. `notes` tell how it was trained. Appears whole or not at all.
void save_trained_cube3d(const std::filesystem::path& start, const Transformer& trained,
                         const std::map<std::string, std::string>& notes, const std::filesystem::path& out);

}  // namespace omni::model
