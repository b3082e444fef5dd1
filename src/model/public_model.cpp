#include "omni/model/public_model.h"

#include <array>
#include <map>
#include <optional>

#include "cube3d_inputs.h"
#include "omni/core/config.h"
#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/output_folder.h"
#include "omni/model/cube3d_files.h"
#include "omni/model/cube3d_training.h"
#include "omni/tokenizers/cube3d_tokenizer.h"
#include "omni/tokenizers/shape_tokenizer_check.h"
#include "public_config.h"

namespace omni::model {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kFormatVersion = 1;
constexpr const char *kDescription = "public.yaml", *kWeights = "model.safetensors",
                     *kTokenizer = "tokenizer.json", *kText = "text", *kShapeTokenizer = "shape_tokenizer";

// What kDescription holds.
struct Description {
  std::int64_t format_version = kFormatVersion;
  std::string family = "cube3d";
  Cube3dGptConfig cube3d;
  ClipConfig clip;
  Qwen3Config qwen3;
  std::vector<std::string> note_names, note_texts;  // of one that was trained further
};

void describe(ConfigVisitor& visitor, Description& d) {
  visitor.integer("format_version", d.format_version);
  visitor.choice("family", d.family, {"cube3d", "clip", "qwen3"});
  visitor.section("model", [&](ConfigVisitor& v) {
    if (d.family == "cube3d") describe(v, d.cube3d);
    if (d.family == "clip") describe(v, d.clip);
    if (d.family == "qwen3") describe(v, d.qwen3);
  });
  visitor.added_later(d.note_names.empty(), [&](ConfigVisitor& later) {
    later.texts("note_names", d.note_names);
    later.texts("note_texts", d.note_texts);
  });
}

Description read_description(const fs::path& folder) {
  const fs::path path = folder / kDescription;
  if (!fs::exists(path))
    fail(ErrorKind::io, "cannot read the public model '", folder.string(), "': it has no ", kDescription,
         ". `omni import` makes such folders");
  Description d;
  read_stored_config(path, [&](ConfigVisitor& v) { describe(v, d); });
  if (d.format_version != kFormatVersion)
    fail(ErrorKind::input, "reading '", path.string(), "': format version ", d.format_version,
         ", this program reads version ", kFormatVersion);
  if (d.note_names.size() != d.note_texts.size())
    fail(ErrorKind::input, "reading '", path.string(), "': it has ", d.note_names.size(), " note_names and ",
         d.note_texts.size(), " note_texts. It is damaged; take the folder from where it was made");
  if (d.family == "clip") require_valid(d.clip, path.string());
  return d;
}

Description require_family(const fs::path& folder, const std::string& family) {
  Description d = read_description(folder);
  if (d.family != family)
    fail(ErrorKind::input, "the public model '", folder.string(), "' is of the family ", d.family, ", not ",
         family);
  return d;
}

// A file that the publisher puts beside the weights.
fs::path beside(const fs::path& weights, const char* name) {
  return (fs::is_directory(weights) ? weights : weights.parent_path()) / name;
}

fs::path config_of(const PublicFiles& files) {
  return files.config.empty() ? beside(files.weights, "config.json") : files.config;
}

// Puts a folder together where it is still to be committed.
void write(const fs::path& folder, const Description& description, const WeightSource& weights,
           const PublicLayout& layout, const std::map<std::string, at::Tensor>& replaced = {}) {
  Description written = description;
  write_file_atomically(folder / kDescription,
                        config_to_yaml([&](ConfigVisitor& v) { describe(v, written); }));
  copy_weights(weights, layout, folder / kWeights, replaced);
}

// Said of the whole, where else the first of its files would be missed.
void require_there(const PublicFiles& files, const char* what) {
  std::error_code unreadable;
  if (!fs::exists(files.weights, unreadable))
    fail(ErrorKind::io, "reading the ", what, " '", files.weights.string(),
         "': there is no such file or folder");
}

// Null where there is none. Its ids must all be the model's.
std::unique_ptr<tokenizers::TextTokenizer> tokenizer_of(const PublicFiles& files, std::int64_t vocabulary) {
  fs::path path = files.tokenizer;
  if (path.empty() && !fs::exists(path = beside(files.weights, kTokenizer))) return nullptr;
  auto tokenizer = std::make_unique<tokenizers::TextTokenizer>(tokenizers::TextTokenizer::load(path));
  if (tokenizer->vocabulary_size() > vocabulary)
    fail(ErrorKind::input, "reading '", path.string(), "': the tokenizer has ", tokenizer->vocabulary_size(),
         " tokens, the model only ", vocabulary, ". Give the one that belongs to it");
  return tokenizer;
}

void write_tokenizer(const PublicFiles& files, std::int64_t vocabulary, const fs::path& folder) {
  if (const auto tokenizer = tokenizer_of(files, vocabulary)) tokenizer->save(folder / kTokenizer);
}

std::unique_ptr<tokenizers::TextTokenizer> read_tokenizer(const fs::path& folder) {
  if (!fs::exists(folder / kTokenizer)) return nullptr;
  return std::make_unique<tokenizers::TextTokenizer>(tokenizers::TextTokenizer::load(folder / kTokenizer));
}

void write_clip(const PublicFiles& files, const WeightSource& weights, const ClipConfig& config,
                const fs::path& folder) {
  if (config.text) write_tokenizer(files, config.text->vocabulary, folder);
  write(folder, {.family = "clip", .cube3d = {}, .clip = config, .qwen3 = {}}, weights,
        Clip::layout_in(weights, config));
}

void write_qwen3(const PublicFiles& files, const WeightSource& weights, const Qwen3Config& config,
                 const fs::path& folder) {
  write_tokenizer(files, config.vocabulary, folder);
  write(folder, {.family = "qwen3", .cube3d = {}, .clip = {}, .qwen3 = config}, weights,
        layout_in(weights, config));
}

// Whether they are a folder that was imported, not what a publisher gives.
bool is_imported(const PublicFiles& files) {
  return files.config.empty() && fs::exists(beside(files.weights, kDescription));
}

// Of a publisher's files, or of a folder that was imported already.
ClipConfig text_alone_of(const PublicFiles& files, const WeightSource& weights) {
  ClipConfig config = is_imported(files) ? require_family(beside(files.weights, ""), "clip").clip
                                         : ClipConfig::load(config_of(files), weights);
  if (!config.text) fail(ErrorKind::input, "reading '", weights.name(), "': this CLIP has no text tower");
  config.vision.reset();
  return config;
}

Qwen3Config qwen3_of(const PublicFiles& files) {
  return is_imported(files) ? require_family(beside(files.weights, ""), "qwen3").qwen3
                            : Qwen3Config::load(config_of(files));
}

// The publishers' configurations tell their models apart.
bool is_qwen3(const PublicFiles& files) {
  if (is_imported(files)) return public_family(beside(files.weights, "")) == PublicFamily::qwen3;
  return PublicConfig::load(config_of(files)).text("model_type", "clip").starts_with("qwen3");
}

// The GPT's features of codes and texts are as wide as those that the tokenizer and the text tower give.
void require_codebook(const tokenizers::CodebookSize& codebook, const Cube3dGptConfig& config,
                      const fs::path& tokenizer) {
  if (codebook.codes != config.shape_codes || codebook.dimension != config.code_dimension)
    fail(ErrorKind::input, "reading '", tokenizer.string(), "': its codebook is [", codebook.codes, ", ",
         codebook.dimension, "], the GPT expects [", config.shape_codes, ", ", config.code_dimension,
         "]. Give the files of one version");
}

void require_codebook(const at::Tensor& codebook, const Cube3dGptConfig& config, const fs::path& tokenizer) {
  require_codebook({codebook.size(0), codebook.size(1)}, config, tokenizer);
}

void require_text_width(std::int64_t width, const Cube3dGptConfig& config, const std::string& name) {
  if (width != config.text_width)
    fail(ErrorKind::input, "reading '", name, "': the text tower has the width ", width, ", the GPT expects ",
         config.text_width,
         ". Give CLIP ViT-L/14; a Qwen3 is put in its place by `omni import cube3d --text`");
}

// If there is one.
void write_shape_tokenizer(const fs::path& file, const fs::path& folder) {
  if (!file.empty()) tokenizers::import_cube3d_tokenizer(file)->save(folder / kShapeTokenizer);
}

void require_fitting_gpt(const Cube3dFiles& files) {
  require_layout(WeightSource(files.weights), public_layout(files.config));
}

void require_fitting_text(const Cube3dFiles& files) {
  const WeightSource weights(files.text.weights);
  if (is_qwen3(files.text)) {
    const Qwen3Config qwen3 = qwen3_of(files.text);
    require_text_width(qwen3.width, files.config, weights.name());
    return require_layout(weights, layout_in(weights, qwen3));
  }
  const ClipConfig clip = text_alone_of(files.text, weights);
  require_text_width(clip.text->width, files.config, weights.name());
  require_layout(weights, Clip::layout_in(weights, clip));
}

void require_fitting_shape_tokenizer(const Cube3dFiles& files) {
  const fs::path& path = files.shape_tokenizer;
  if (path.empty()) return;
  require_codebook(fs::is_directory(path) ? tokenizers::require_fitting_shape_tokenizer(path)
                                          : tokenizers::require_fitting_cube3d_tokenizer(path),
                   files.config, path);
}

void require_public_place(const fs::path& out) {
  static constexpr std::array<std::string_view, 7> kWritten = {
      kDescription,        kWeights,         kTokenizer, kPublishedGptName, "text/*",
      "shape_tokenizer/*", "model.*.panels*"};
  require_only_written(out, kDescription, kWritten);
}

}  // namespace

void import_qwen3(const PublicFiles& files, const fs::path& out) {
  require_public_place(out);
  AtomicDirectory directory(out, kDescription);
  const WeightSource weights(files.weights);
  const Qwen3Config config = Qwen3Config::load(config_of(files));
  write_qwen3(files, weights, config, directory.staging_path());
  directory.commit();
}

void import_clip(const PublicFiles& files, bool text_alone, const fs::path& out) {
  require_public_place(out);
  AtomicDirectory directory(out, kDescription);
  const WeightSource weights(files.weights);
  const ClipConfig config =
      text_alone ? text_alone_of(files, weights) : ClipConfig::load(config_of(files), weights);
  write_clip(files, weights, config, directory.staging_path());
  directory.commit();
}

namespace {

// How wide the projection of texts is in the file; as the configuration says where it does not tell.
std::int64_t text_width_in(const WeightSource& gpt, const Cube3dGptConfig& config) {
  const auto projection = gpt.tensors().find("text_proj.weight");
  return projection != gpt.tensors().end() && projection->second.shape.size() == 2
             ? projection->second.shape[1]
             : config.text_width;
}

// A GPT that reads a Qwen3, whose own projection is kept where it is as wide.
ImportedCube3d write_gpt_for(const Qwen3Config& text, const WeightSource& gpt, Cube3dGptConfig config,
                             const fs::path& folder) {
  // One that has been trained on such features has their width whatever the published sizes are.
  if (text_width_in(gpt, config) == text.width) config.text_width = text.width;
  const PublicLayout given = public_layout(config);
  const bool fresh = config.text_width != text.width;
  config.text_width = text.width;
  require_layout(gpt, given);  // which bounds what is allocated
  std::map<std::string, at::Tensor> projection;
  if (fresh) projection = fresh_text_projection(config, {});
  write(folder, {.family = "cube3d", .cube3d = config, .clip = {}, .qwen3 = {}}, gpt, given, projection);
  return {text.width, fresh};
}

// A text that has no tokens has no features.
void require_text_tokenizer(const PublicFiles& files, std::int64_t vocabulary) {
  if (tokenizer_of(files, vocabulary) == nullptr)
    fail(ErrorKind::input, "reading the Qwen3 '", files.weights.string(),
         "' as a text tower: it has no tokenizer.json. Put it beside the weights");
}

}  // namespace

// What is read in a moment is read first, the GPT, which takes longest to copy, last.
ImportedCube3d import_cube3d(const PublicFiles& gpt, const PublicFiles& text, const fs::path& shape_tokenizer,
                             const fs::path& out) {
  require_public_place(out);
  AtomicDirectory directory(out, kDescription);
  const fs::path& folder = directory.staging_path();
  Cube3dFiles files{
      .weights = published_gpt(gpt.weights),
      .config = {},
      .text = text,
      .shape_tokenizer = shape_tokenizer.empty() ? published_shape_tokenizer(gpt.weights) : shape_tokenizer};
  const WeightSource weights(files.weights), text_weights(text.weights);
  files.config.box = weights.contains("bbox_proj.weight");
  if (!gpt.config.empty()) files.config = Cube3dGptConfig::load(gpt.config);
  ImportedCube3d imported;
  fs::create_directory(folder / kText);
  if (is_qwen3(text)) {
    const Qwen3Config qwen3 = qwen3_of(text);
    require_text_tokenizer(text, qwen3.vocabulary);
    require_fitting_shape_tokenizer(files);
    write_shape_tokenizer(files.shape_tokenizer, folder);
    write_qwen3(text, text_weights, qwen3, folder / kText);
    imported = write_gpt_for(qwen3, weights, files.config, folder);
  } else {
    require_fitting(files);
    const ClipConfig clip = text_alone_of(text, text_weights);
    (void)tokenizer_of(text, clip.text->vocabulary);  // whether it can be read
    write_shape_tokenizer(files.shape_tokenizer, folder);
    write_clip(text, text_weights, clip, folder / kText);
    write(folder, {.family = "cube3d", .cube3d = files.config, .clip = {}, .qwen3 = {}}, weights,
          public_layout(files.config));
    imported = {clip.text->width, false};
  }
  directory.commit();
  return imported;
}

bool is_public_folder(const fs::path& path) {
  std::error_code unreadable;
  return fs::exists(path / kDescription, unreadable);
}

PublicFamily public_family(const fs::path& folder) { return describe_public(folder).family; }

PublicDescription describe_public(const fs::path& folder) {
  const Description d = read_description(folder);
  const PublicFamily family = d.family == "clip"    ? PublicFamily::clip
                              : d.family == "qwen3" ? PublicFamily::qwen3
                                                    : PublicFamily::cube3d;
  PublicDescription description{family, d.cube3d, d.clip, d.qwen3, {}};
  for (std::size_t i = 0; i < d.note_names.size(); ++i) description.notes[d.note_names[i]] = d.note_texts[i];
  return description;
}

Qwen3WithTokenizer load_qwen3(const fs::path& folder) {
  const Description d = require_family(folder, "qwen3");
  return {read_tokenizer(folder), std::make_unique<Qwen3>(d.qwen3, WeightSource(folder / kWeights))};
}

ClipWithTokenizer load_clip(const fs::path& folder) {
  const Description d = require_family(folder, "clip");
  return {read_tokenizer(folder), std::make_unique<Clip>(d.clip, WeightSource(folder / kWeights))};
}

ClipWithTokenizer open_clip_text(const PublicFiles& files) {
  const WeightSource weights(files.weights);
  const ClipConfig config = text_alone_of(files, weights);
  return {tokenizer_of(files, config.text->vocabulary), std::make_unique<Clip>(config, weights)};
}

Qwen3Source open_qwen3_source(const PublicFiles& files) {
  require_there(files, "Qwen3");
  const Qwen3Config config = qwen3_of(files);
  return {config, WeightSource(files.weights), tokenizer_of(files, config.vocabulary)};
}

std::unique_ptr<TextTower> open_text_tower(const PublicFiles& files) {
  require_there(files, "text tower");
  if (!is_qwen3(files)) {
    ClipWithTokenizer clip = open_clip_text(files);
    return make_text_tower(std::move(clip.tokenizer), std::move(clip.network));
  }
  Qwen3Source source = open_qwen3_source(files);
  return make_text_tower(std::move(source.tokenizer), std::make_unique<Qwen3>(source.config, source.weights));
}

Cube3dFiles imported_cube3d(const fs::path& folder) {
  const fs::path shape = folder / kShapeTokenizer;
  return {.weights = folder / kWeights,
          .config = require_family(folder, "cube3d").cube3d,
          .text = {.weights = folder / kText, .config = {}, .tokenizer = {}},
          .shape_tokenizer = fs::exists(shape) ? shape : fs::path()};
}

void require_fitting(const Cube3dFiles& files) {
  require_fitting_text(files);
  require_fitting_gpt(files);
  require_fitting_shape_tokenizer(files);
}

std::int64_t codes_per_shape(const Cube3dFiles& files) {
  if (files.shape_tokenizer.empty())
    fail(ErrorKind::input, "the Cube3D '", files.weights.parent_path().string(),
         "' has no shape tokenizer. Import it with --shape-tokenizer shape_tokenizer.safetensors");
  // A stored tokenizer's tensors have the publisher's names.
  const SafetensorsFile file(fs::is_directory(files.shape_tokenizer)
                                 ? files.shape_tokenizer / "weights.safetensors"
                                 : files.shape_tokenizer);
  const TensorView& positions = file.at("decoder.positional_encodings");
  if (positions.shape.size() != 2 || positions.shape[0] < 1)
    fail(ErrorKind::input, "reading '", file.name(), "': decoder.positional_encodings has the shape ",
         at::IntArrayRef(positions.shape), ", not [codes, width]. Give Cube3D's shape tokenizer");
  return positions.shape[0];
}

std::unique_ptr<TextTower> open_cube3d_text(const Cube3dFiles& files) {
  std::unique_ptr<TextTower> text = open_text_tower(files.text);
  require_text_width(text->width(), files.config, files.text.weights.string());
  return text;
}

std::unique_ptr<tokenizers::ShapeTokenizer> open_shape_tokenizer(const Cube3dFiles& files) {
  if (files.shape_tokenizer.empty()) return nullptr;
  auto shape = fs::is_directory(files.shape_tokenizer)
                   ? tokenizers::load_shape_tokenizer(files.shape_tokenizer)
                   : tokenizers::import_cube3d_tokenizer(files.shape_tokenizer);
  require_codebook(shape->geometry_codebook(), files.config, files.shape_tokenizer);
  return shape;
}

namespace {

// The shape tokenizer is read first: the GPT's weights take a while to be packed or copied, which one that cannot be read
// would make in vain.
template <class... Where>  // a device and what is there, or how the weights are mapped
Cube3dModel open_parts(const Cube3dFiles& files, const Where&... where) {
  Cube3dModel model;
  model.shape = open_shape_tokenizer(files);
  model.gpt = std::make_unique<Cube3dGpt>(files.config, WeightSource(files.weights), where...);
  if (model.shape) model.gpt->set_codebook(model.shape->geometry_codebook());
  return model;
}

}  // namespace

Cube3dModel open_cube3d(const Cube3dFiles& files, const std::optional<kernels::DecodeFormat>& mapped) {
  return open_parts(files, mapped);
}

Cube3dModel open_cube3d(const Cube3dFiles& files, at::Device device, at::ScalarType matrix_type) {
  Cube3dModel model = open_parts(files, device, matrix_type);
  if (model.shape) model.shape->to(device);
  return model;
}

Cube3dParts open_cube3d_parts(const fs::path& folder) {
  const Description d = require_family(folder, "cube3d");
  Cube3dParts parts{d.cube3d,
                    folder / kWeights,
                    open_text_tower({.weights = folder / kText, .config = {}, .tokenizer = {}}),
                    {}};
  const auto require = [&](bool there, const char* what, const char* option) {
    if (!there)
      fail(ErrorKind::input, "reading '", folder.string(), "': it has no tokenizer of ", what,
           ", which training needs. Import it anew with ", option);
  };
  require(parts.text->tokenizer() != nullptr, "texts", "--text");
  require(fs::exists(folder / kShapeTokenizer), "shapes", "--shape-tokenizer");
  require_text_width(parts.text->width(), d.cube3d, (folder / kText).string());
  parts.tokenizers = tokenizers::TokenizerSet::load({.text = (folder / kText / kTokenizer).string(),
                                                     .image = {},
                                                     .shape = (folder / kShapeTokenizer).string()});
  require_codebook(parts.tokenizers.shape()->geometry_codebook(), d.cube3d, folder / kShapeTokenizer);
  return parts;
}

void save_trained_cube3d(const fs::path& start, const Transformer& trained,
                         const std::map<std::string, std::string>& notes, const fs::path& out) {
  Description d = require_family(start, "cube3d");
  d.note_names.clear();
  d.note_texts.clear();
  for (const auto& [name, text] : notes) {
    d.note_names.push_back(name);
    d.note_texts.push_back(text);
  }
  AtomicDirectory directory(out, kDescription);
  const fs::path& folder = directory.staging_path();
  for (const char* part : {kText, kShapeTokenizer})
    fs::copy(start / part, folder / part, fs::copy_options::recursive);
  write_file_atomically(folder / kDescription, config_to_yaml([&](ConfigVisitor& v) { describe(v, d); }));
  export_cube3d(d.cube3d, trained, WeightSource(start / kWeights), folder / kWeights);
  std::error_code unlinked;  // where the disk has no links
  fs::create_hard_link(folder / kWeights, folder / kPublishedGptName, unlinked);
  if (unlinked) fs::copy_file(folder / kWeights, folder / kPublishedGptName);
  directory.commit();
}

Cube3dModel load_cube3d(const fs::path& folder, const std::optional<kernels::DecodeFormat>& mapped) {
  const Cube3dFiles files = imported_cube3d(folder);
  std::unique_ptr<TextTower> text = open_cube3d_text(files);
  Cube3dModel model = open_cube3d(files, mapped);
  model.text = std::move(text);
  return model;
}

}  // namespace omni::model
