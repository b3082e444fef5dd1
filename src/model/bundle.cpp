#include "omni/model/bundle.h"

#include <algorithm>
#include <array>

#include "checkpoint_values.h"
#include "omni/checkpoint/reader.h"
#include "omni/checkpoint/run_folder.h"
#include "omni/core/content_hash.h"
#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/log.h"
#include "omni/core/output_folder.h"
#include "omni/core/text_format.h"
#include "omni/geometry/camera.h"
#include "omni/model/bundle_numbers.h"
#include "omni/model/bundle_place.h"
#include "omni/model/panel_file.h"
#include "omni/sequence/layout.h"
#include "tower_stamp.h"
#include "transformer_network.h"

namespace omni::model {
namespace {

constexpr std::int64_t kFormatVersion = 1;
constexpr const char* kWeightsName = "model.safetensors";
constexpr const char* kDescriptionName = "bundle.yaml";
constexpr const char* kWordsName = "words.json";
constexpr const char* kTextTowerName = "text_tower";

// What kDescriptionName holds.
struct BundleDescription {
  std::int64_t format_version = kFormatVersion;
  std::string vocabulary_fingerprint;
  TransformerConfig transformer;
  sequence::SequenceLayout layout;
  bool text_tokenizer = false, image_tokenizer = false, shape_tokenizer = false;
  std::vector<sequence::Task> tasks;
  std::vector<std::string> note_names, note_texts;
  nn::LowRankConfig adapters;  // of a checkpoint; a bundle's are merged
  std::string text_tower;      // the fingerprint of the folder kTextTowerName; empty: there is none
  bool words = false;          // whether kWordsName is a part; earlier versions did not say
};

void describe(ConfigVisitor& visitor, BundleDescription& d) {
  visitor.integer("format_version", d.format_version);
  visitor.text("vocabulary_fingerprint", d.vocabulary_fingerprint);
  visitor.flag("text_tokenizer", d.text_tokenizer);
  visitor.flag("image_tokenizer", d.image_tokenizer);
  visitor.flag("shape_tokenizer", d.shape_tokenizer);
  visitor.section("transformer", [&](ConfigVisitor& v) { describe(v, d.transformer); });
  visitor.section("layout", [&](ConfigVisitor& v) { sequence::describe(v, d.layout); });
  visitor.list(
      "tasks", d.tasks.size(), [&](std::size_t count) { d.tasks.assign(count, {}); },
      [&](ConfigVisitor& v, std::size_t i) { sequence::describe(v, d.tasks[i]); });
  visitor.texts("note_names", d.note_names);
  visitor.texts("note_texts", d.note_texts);
  visitor.added_later(d.adapters.rank == 0, [&](ConfigVisitor& later) {
    later.section("lora", [&](ConfigVisitor& v) { nn::describe(v, d.adapters); });
  });
  visitor.added_later(d.text_tower.empty(),
                      [&](ConfigVisitor& later) { later.text("text_tower", d.text_tower); });
  visitor.added_later(!d.words, [&](ConfigVisitor& later) { later.flag("words", d.words); });
}

std::string fingerprint_text(const sequence::Vocabulary& vocabulary) {
  std::ostringstream out;
  out << std::hex << vocabulary.fingerprint();
  return out.str();
}

BundleDescription describe_bundle(const Bundle& bundle) {
  BundleDescription d;
  d.vocabulary_fingerprint = fingerprint_text(bundle.vocabulary());
  d.transformer = bundle.transformer->config();
  d.layout = bundle.layout();
  d.text_tokenizer = bundle.tokenizers.text() != nullptr;
  d.image_tokenizer = bundle.tokenizers.image() != nullptr;
  d.shape_tokenizer = bundle.tokenizers.shape() != nullptr;
  d.tasks = bundle.tasks;
  d.adapters = bundle.transformer->adapters();
  d.words = bundle.words.has_value();
  if (bundle.text_tower) d.text_tower = hexadecimal(bundle.text_tower->fingerprint());
  for (const auto& [name, text] : bundle.notes) {
    d.note_names.push_back(name);
    d.note_texts.push_back(text);
  }
  return d;
}

BundleDescription read_description(const std::filesystem::path& folder) {
  if (!std::filesystem::is_directory(folder))
    fail(ErrorKind::io, "cannot read the bundle ", folder, ": there is no such folder");
  const std::filesystem::path path = folder / kDescriptionName;
  if (!std::filesystem::exists(path)) {
    const std::filesystem::path inner = folder / "bundle";  // where a training run leaves it
    fail(ErrorKind::io, "cannot read the bundle ", folder, ": it has no bundle.yaml. ",
         std::filesystem::exists(inner / kDescriptionName)
             ? concat("Did you mean ", inner, "?")
             : std::string("A bundle is a folder that training writes"));
  }
  BundleDescription d;
  try {
    ConfigFile::load(path).read([&](ConfigVisitor& v) { describe(v, d); });
    validate(d.transformer);
    for (const sequence::Task& task : d.tasks) sequence::check_task(task);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::usage) throw;
    fail(ErrorKind::input, "cannot read the bundle ", folder, ": ", error.what());
  }
  if (d.format_version != kFormatVersion)
    fail(ErrorKind::input, path, ": format version ", d.format_version, ", this program reads version ",
         kFormatVersion);
  if (d.note_names.size() != d.note_texts.size())
    fail(ErrorKind::input, path, ": note_names and note_texts differ in length");
  return d;
}

// Payload lengths. Modalities that are absent have none.
sequence::SequenceLayout layout_of(const tokenizers::TokenFormat& tokens, std::int64_t text_capacity) {
  return {.text_capacity = tokens.text.present() ? text_capacity : 1,
          .image_grid_side = tokens.image.grid_side,
          .geometry_lengths = tokens.shape.geometry_lengths,
          .geometry_grid_side = tokens.shape.geometry_grid_side,
          .colour_codes = tokens.shape.colour_codes,
          .colour_grid_side = tokens.shape.colour_grid_side};
}

sequence::Vocabulary vocabulary_of(const tokenizers::TokenFormat& tokens, bool views) {
  sequence::VocabularySizes sizes = {.text = tokens.text.vocabulary,
                                     .image = tokens.image.vocabulary,
                                     .geometry = tokens.shape.geometry_vocabulary,
                                     .colour = tokens.shape.colour_vocabulary};
  if (views) sizes.views = {geometry::kAzimuthBins, geometry::kElevationBins};
  return sequence::make_vocabulary(sizes);
}

std::vector<RangeCodebook> codebooks_of(const tokenizers::TokenizerSet& set) {
  std::vector<RangeCodebook> codebooks;
  const auto add = [&](std::string_view range, const at::Tensor& codebook) {
    codebooks.push_back({std::string(range), codebook.detach().to(at::kFloat).cpu().contiguous()});
  };
  if (set.image() != nullptr) add(sequence::kRangeImage, set.image()->codebook());
  if (set.shape() != nullptr) {
    add(sequence::kRangeGeometry, set.shape()->geometry_codebook());
    if (set.format().shape.colour_codes > 0) add(sequence::kRangeColour, set.shape()->colour_codebook());
  }
  return codebooks;
}

// Whether what the folder says of its tokens is what its tokenizers, and the camera's bins of a view, make.
void check_tokenizers(const tokenizers::TokenFormat& tokens, const sequence::Vocabulary& vocabulary,
                      const sequence::SequenceLayout& layout, const std::filesystem::path& folder) {
  const sequence::Vocabulary expected = vocabulary_of(tokens, vocabulary.has(sequence::kRangeAzimuth));
  for (const sequence::TokenRange& range : expected.ranges()) {
    const std::int32_t stored = vocabulary.has(range.name) ? vocabulary.range(range.name).size : 0;
    if (stored == range.size) continue;
    fail(ErrorKind::input, "the bundle ", folder, " is of another vocabulary: range '", range.name, "' has ",
         stored, " tokens instead of ", range.size);
  }
  sequence::SequenceLayout wanted = layout_of(tokens, layout.text_capacity);
  wanted.text_capacity = layout.text_capacity;  // which no tokenizer fixes
  if (wanted == layout) return;
  fail(ErrorKind::input, "the bundle ", folder, ": its ",
       wanted.image_grid_side != layout.image_grid_side ? "image" : "shape",
       " tokenizer makes other numbers of codes than its layout says");
}

}  // namespace

Bundle make_bundle(const TransformerConfig& config, tokenizers::TokenizerSet tokenizers,
                   std::int64_t text_capacity, bool views, nn::ParameterStart start) {
  const tokenizers::TokenFormat& tokens = tokenizers.format();
  Bundle bundle;
  bundle.transformer =
      std::make_unique<Transformer>(config, vocabulary_of(tokens, views), layout_of(tokens, text_capacity),
                                    std::move(start), codebooks_of(tokenizers));
  bundle.tokenizers = std::move(tokenizers);
  return bundle;
}

namespace {

void write_frame(const Bundle& bundle, const std::filesystem::path& folder) {
  bundle.tokenizers.save(folder);
  if (bundle.text_tower) bundle.text_tower->save(folder / kTextTowerName);
  write_file_atomically(folder / "vocabulary.json", bundle.vocabulary().to_json());
  if (bundle.words) write_file_atomically(folder / kWordsName, bundle.words->to_json());
  BundleDescription d = describe_bundle(bundle);
  write_file_atomically(folder / kDescriptionName, config_to_yaml([&](ConfigVisitor& v) { describe(v, d); }));
}

std::optional<tokenizers::WordList> read_words(const std::filesystem::path& folder,
                                               const BundleDescription& d) {
  const std::filesystem::path path = folder / kWordsName;
  if (!d.words && !std::filesystem::exists(path)) return {};
  return tokenizers::WordList::parse(read_file_text(path, tokenizers::WordList::kLargestFile), path.string());
}

std::filesystem::path frame_folder(const std::filesystem::path& folder) {
  return checkpoint::is_checkpoint(folder) ? checkpoint::common_folder_of(folder) : folder;
}

// A bundle without its weights.
struct Frame {
  BundleDescription description;
  tokenizers::TokenizerSet tokenizers;
  sequence::Vocabulary vocabulary;
  std::optional<tokenizers::WordList> words;
  std::optional<BundleTextTower> text_tower;
};

// Of what a frame is read, which tells how far its text tower is.
enum class FrameOf {
  bundle,      // compared with what the bundle was trained with
  checkpoint,  // whose files are known to be as they were written
  shapes,      // its sizes alone
};

// The tower that the bundle was trained with, or its sizes.
std::optional<BundleTextTower> read_text_tower(const std::filesystem::path& folder,
                                               const BundleDescription& d, FrameOf of) {
  if (d.text_tower.empty()) return {};
  const std::filesystem::path own = folder / kTextTowerName;
  if (!std::filesystem::is_directory(own))
    fail(ErrorKind::io, "the bundle ", folder, " reads texts by a text tower, and its folder ", own,
         " is missing. Copy it from where the bundle came from");
  const BundleTextTower sizes = BundleTextTower::sizes(own);
  const std::optional<std::uint64_t> fingerprint = parse_hexadecimal(d.text_tower);
  if (!has_text_input(d.transformer, sizes.width()) || !fingerprint ||
      (of == FrameOf::bundle && !has_fingerprint(own, *fingerprint)))
    fail(
        ErrorKind::input, "the bundle ", folder, ": ", own,
        " is another text tower than the one that it was trained with. Copy that one from where the bundle came "
        "from");
  return of == FrameOf::shapes ? sizes : BundleTextTower::load(own, *fingerprint);
}

Frame load_frame(const std::filesystem::path& folder, FrameOf of) {
  BundleDescription d = read_description(folder);
  if (!d.transformer.features.empty() && !d.text_tokenizer)  // one that was grown reads tokens of texts, too
    fail(
        ErrorKind::input, "cannot read ", folder,
        ": its model takes features as inputs, and has no tokenizer of texts. A checkpoint of "
        "a public model's fine-tuning goes on with --resume where its 'start_bundle' is; the model to sample from "
        "is the folder 'bundle' that the run leaves at its end");
  tokenizers::TokenizerPaths paths = tokenizers::TokenizerPaths::inside(folder);
  if (!d.text_tokenizer) paths.text.clear();
  if (!d.image_tokenizer) paths.image.clear();
  if (!d.shape_tokenizer) paths.shape.clear();
  tokenizers::TokenizerSet tokenizers = tokenizers::TokenizerSet::load(paths);
  const std::filesystem::path vocabulary_path = folder / "vocabulary.json";
  auto vocabulary =
      sequence::Vocabulary::from_json(read_file_text(vocabulary_path), vocabulary_path.string());
  if (fingerprint_text(vocabulary) != d.vocabulary_fingerprint)
    fail(ErrorKind::input, "the bundle ", folder,
         " is of another vocabulary: vocabulary.json does not match bundle.yaml");
  check_tokenizers(tokenizers.format(), vocabulary, d.layout, folder);
  std::optional<BundleTextTower> text_tower = read_text_tower(folder, d, of);
  std::optional<tokenizers::WordList> words = read_words(folder, d);
  return {std::move(d), std::move(tokenizers), std::move(vocabulary), std::move(words),
          std::move(text_tower)};
}

Bundle bundle_of(Frame frame, std::unique_ptr<Transformer> transformer) {
  const BundleDescription& d = frame.description;
  Bundle bundle;
  bundle.transformer = std::move(transformer);
  bundle.tokenizers = std::move(frame.tokenizers);
  bundle.tasks = d.tasks;
  bundle.words = std::move(frame.words);
  bundle.text_tower = std::move(frame.text_tower);
  for (std::size_t i = 0; i < d.note_names.size(); ++i) bundle.notes[d.note_names[i]] = d.note_texts[i];
  return bundle;
}

Bundle with_transformer(Frame frame, nn::ParameterStart start) {
  auto transformer =
      std::make_unique<Transformer>(frame.description.transformer, frame.vocabulary, frame.description.layout,
                                    std::move(start), codebooks_of(frame.tokenizers));
  return bundle_of(std::move(frame), std::move(transformer));
}

constexpr const char *kEmbedding = "embedding.weight", *kCodebook = "codebook.";

// A parameter of the file, in a type that can be packed; rows of codes with the share of their codebooks.
at::Tensor value_with_codebooks(const SafetensorsFile& weights, const std::string& name,
                                const sequence::Vocabulary& vocabulary) {
  at::Tensor value = nn::to_tensor(weights.at(name));
  const bool with_codes = name == kEmbedding;
  if (with_codes || value.scalar_type() != at::kBFloat16) value = value.to(at::kFloat);
  if (!with_codes) return value;
  for (const sequence::TokenRange& range : vocabulary.ranges()) {
    const std::string codebook = concat(kCodebook, range.name);
    if (!weights.contains(codebook)) continue;
    const at::Tensor projection = nn::to_tensor(weights.at(concat("codebook_projection.", range.name)));
    value.narrow(0, range.first, range.size)
        .add_(at::mm(nn::to_tensor(weights.at(codebook)).to(at::kFloat), projection.to(at::kFloat).t()));
  }
  return value;
}

// Those of the bundle whose frame was read.
SafetensorsFile open_weights(const std::filesystem::path& folder, const Frame& frame) {
  SafetensorsFile weights(folder / kWeightsName);
  const auto stamp = weights.metadata().find("vocabulary");
  if (stamp != weights.metadata().end() && stamp->second != frame.description.vocabulary_fingerprint)
    fail(ErrorKind::input, "the bundle ", folder,
         ": model.safetensors is of another vocabulary than bundle.yaml");
  return weights;
}

checkpoint::CheckpointReader open_sound(const std::filesystem::path& checkpoint) {
  if (const std::vector<std::string> damage = checkpoint::damage_of(checkpoint); !damage.empty())
    fail(ErrorKind::input, "reading the checkpoint ", checkpoint, ": ", damage.front());
  return checkpoint::CheckpointReader(checkpoint);
}

}  // namespace

void require_bundle_place(const std::filesystem::path& folder) {
  // figures.json is of `omni eval`, panels and stamp of sampling.
  static constexpr std::array<std::string_view, 13> kWritten = {kDescriptionName,
                                                                kWeightsName,
                                                                kWordsName,
                                                                "vocabulary.json",
                                                                "text_tokenizer.json",
                                                                "image_tokenizer/config.yaml",
                                                                "image_tokenizer/weights.safetensors",
                                                                "shape_tokenizer/config.yaml",
                                                                "shape_tokenizer/weights.safetensors",
                                                                "text_tower/*",
                                                                "text_tower.stamp*",
                                                                "figures.json",
                                                                "model.*.panels*"};
  require_only_written(folder, kDescriptionName, kWritten);
}

void save_bundle(const Bundle& bundle, const std::filesystem::path& folder, at::ScalarType matrix_type) {
  ensure(bundle.transformer != nullptr, "a bundle without a transformer cannot be saved");
  ensure(bundle.transformer->adapters().rank == 0, "adapters are merged before a bundle is saved");
  AtomicDirectory directory(folder, kDescriptionName);
  write_frame(bundle, directory.staging_path());
  bundle.transformer->parameters().save(directory.staging_path() / kWeightsName,
                                        {{"vocabulary", fingerprint_text(bundle.vocabulary())}}, matrix_type);
  directory.commit();
}

void save_bundle_frame(const Bundle& bundle, const std::filesystem::path& folder) {
  AtomicDirectory directory(folder, kDescriptionName);
  write_frame(bundle, directory.staging_path());
  directory.commit();
}

Bundle load_bundle(const std::filesystem::path& folder) {
  if (checkpoint::is_checkpoint(folder)) {
    Bundle bundle = load_bundle(open_sound(folder));
    bundle.transformer->merge_adapters();
    return bundle;
  }
  Frame frame = load_frame(folder, FrameOf::bundle);
  const SafetensorsFile weights = open_weights(folder, frame);
  Bundle bundle = with_transformer(std::move(frame), nn::ParameterStart::to_load(weights));
  bundle.transformer->parameters().load(weights);
  return bundle;
}

Bundle load_averaged_bundle(const std::filesystem::path& checkpoint) {
  const checkpoint::CheckpointReader reader = open_sound(checkpoint);
  Bundle bundle = load_bundle(reader);
  load_averages(reader, bundle.transformer->parameters());
  bundle.transformer->merge_adapters();
  return bundle;
}

Bundle load_bundle_for_decoding(const std::filesystem::path& folder, kernels::DecodeFormat format,
                                const std::optional<std::uint64_t>& smallest_mapped_file) {
  const std::filesystem::path file = folder / kWeightsName;
  std::error_code absent;  // which load_bundle() tells of
  const std::uintmax_t size = std::filesystem::file_size(file, absent);
  if (absent || checkpoint::is_checkpoint(folder) ||
      size < smallest_mapped_file.value_or(kSmallestMappedFile))
    return load_bundle(folder);
  Frame frame = load_frame(folder, FrameOf::bundle);
  const SafetensorsFile weights = open_weights(folder, frame);
  Transformer(frame.description.transformer, frame.vocabulary, frame.description.layout,
              nn::ParameterStart::shapes(), codebooks_of(frame.tokenizers))
      .parameters()
      .require_fitting(weights);
  MappedWeights mapped{.files = {file},
                       .format = format,
                       .config = frame.description.transformer,
                       .vocabulary = frame.vocabulary,
                       .layout = frame.description.layout,
                       .values = {},
                       .changed = {}};
  mapped.config.codebook_embedding = false;
  mapped.values = [&](const std::string& name, at::IntArrayRef) {
    return value_with_codebooks(weights, name, frame.vocabulary);
  };
  std::unique_ptr<Transformer> transformer;
  try {
    transformer = map_transformer(mapped);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::io) throw;
    log_warning("the weights are read whole, which takes memory: ", error.what());
    return load_bundle(folder);
  }
  return bundle_of(std::move(frame), std::move(transformer));
}

Bundle load_bundle(const checkpoint::CheckpointReader& checkpoint) {
  Frame frame = load_frame(checkpoint.common_folder(), FrameOf::checkpoint);
  const nn::LowRankConfig adapters = frame.description.adapters;
  Bundle bundle = with_transformer(std::move(frame), start_of(checkpoint));
  if (adapters.rank > 0) bundle.transformer->add_adapters(adapters, start_of(checkpoint));
  load_values(checkpoint, bundle.transformer->parameters());
  return bundle;
}

void load_weights(const checkpoint::CheckpointReader& checkpoint, Transformer& transformer) {
  load_values(checkpoint, transformer.parameters());
}

Bundle load_bundle_shapes(const std::filesystem::path& folder) {
  if (checkpoint::is_checkpoint(folder))
    return with_transformer(load_frame(checkpoint::common_folder_of(folder), FrameOf::shapes),
                            nn::ParameterStart::shapes());
  Frame frame = load_frame(folder, FrameOf::shapes);
  open_weights(folder, frame);
  return with_transformer(std::move(frame), nn::ParameterStart::shapes());
}

std::set<std::string> parameters_of_bf16(const std::filesystem::path& folder) {
  const SafetensorsFile weights(folder / kWeightsName);
  std::set<std::string> names;
  for (const auto& [name, view] : weights.tensors())
    if (view.dtype == DType::bf16) names.insert(name);
  const bool has_codebooks =
      std::any_of(weights.tensors().begin(), weights.tensors().end(),
                  [](const auto& tensor) { return tensor.first.starts_with(kCodebook); });
  if (has_codebooks) names.erase(kEmbedding);
  return names;
}

std::vector<sequence::Task> load_bundle_tasks(const std::filesystem::path& folder) {
  return read_description(frame_folder(folder)).tasks;
}

std::optional<bool> text_tower_is_sound(const std::filesystem::path& folder) {
  if (!std::filesystem::is_regular_file(folder / kDescriptionName)) return {};
  const BundleDescription d = read_description(folder);
  if (d.text_tower.empty()) return {};
  return hexadecimal(content_hash(folder / kTextTowerName)) == d.text_tower;
}

std::map<std::string, std::string> load_bundle_notes(const std::filesystem::path& folder) {
  const BundleDescription d = read_description(frame_folder(folder));
  std::map<std::string, std::string> notes;
  for (std::size_t i = 0; i < d.note_names.size(); ++i) notes[d.note_names[i]] = d.note_texts[i];
  return notes;
}

std::optional<tokenizers::WordList> load_bundle_words(const std::filesystem::path& folder) {
  const std::filesystem::path frame = frame_folder(folder);
  return read_words(frame, read_description(frame));
}

}  // namespace omni::model
