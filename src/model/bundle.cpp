#include "omni/model/bundle.h"

#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/geometry/camera.h"
#include "omni/sequence/layout.h"
#include "transformer_network.h"

namespace omni::model {
namespace {

constexpr std::int64_t kFormatVersion = 1;

// bundle.yaml
struct BundleDescription {
  std::int64_t format_version = kFormatVersion;
  std::string vocabulary_fingerprint;
  TransformerConfig transformer;
  sequence::SequenceLayout layout;
  bool text_tokenizer = false, image_tokenizer = false, shape_tokenizer = false;
  std::vector<sequence::Task> tasks;
  std::vector<std::string> note_names, note_texts;
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
  d.text_tokenizer = bundle.text_tokenizer != nullptr;
  d.image_tokenizer = bundle.image_tokenizer != nullptr;
  d.shape_tokenizer = bundle.shape_tokenizer != nullptr;
  d.tasks = bundle.tasks;
  for (const auto& [name, text] : bundle.notes) {
    d.note_names.push_back(name);
    d.note_texts.push_back(text);
  }
  return d;
}

BundleDescription read_description(const std::filesystem::path& folder) {
  if (!std::filesystem::is_directory(folder))
    fail(ErrorKind::io, "cannot read the bundle ", folder, ": there is no such folder");
  const std::filesystem::path path = folder / "bundle.yaml";
  if (!std::filesystem::exists(path))
    fail(ErrorKind::io, "cannot read the bundle ", folder,
         ": it has no bundle.yaml. A bundle is a folder that training writes");
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

void require_size(const std::filesystem::path& folder, const sequence::Vocabulary& vocabulary,
                  std::string_view range, std::int64_t size, std::string_view owner = "its tokenizer") {
  const std::int64_t stored = vocabulary.has(range) ? vocabulary.range(range).size : 0;
  if (stored == size) return;
  fail(ErrorKind::input, "the bundle ", folder, " is of another vocabulary: range '", range, "' has ", stored,
       " tokens, ", owner, " ", size);
}

void check_tokenizers(const Bundle& bundle, const sequence::Vocabulary& vocabulary,
                      const sequence::SequenceLayout& layout, const std::filesystem::path& folder) {
  if (bundle.text_tokenizer)
    require_size(folder, vocabulary, sequence::kRangeText, bundle.text_tokenizer->vocabulary_size());
  if (bundle.image_tokenizer) {
    require_size(folder, vocabulary, sequence::kRangeImage, bundle.image_tokenizer->config().codebook_size);
    if (layout.image_grid_side != bundle.image_tokenizer->grid_size())
      fail(ErrorKind::input, "the bundle ", folder,
           ": its image tokenizer makes another number of codes than its layout says");
  }
  if (bundle.shape_tokenizer) {
    require_size(folder, vocabulary, sequence::kRangeGeometry, bundle.shape_tokenizer->geometry_vocabulary());
    if (layout.geometry_lengths != bundle.shape_tokenizer->offered_lengths())
      fail(ErrorKind::input, "the bundle ", folder,
           ": its shape tokenizer offers other code lengths than its layout says");
  }
}

// Bins mean directions of the camera.
void check_views(const sequence::Vocabulary& vocabulary, const std::filesystem::path& folder) {
  if (!vocabulary.has(sequence::kRangeAzimuth)) return;
  require_size(folder, vocabulary, sequence::kRangeAzimuth, geometry::kAzimuthBins, "the camera");
  require_size(folder, vocabulary, sequence::kRangeElevation, geometry::kElevationBins, "the camera");
}

}  // namespace

sequence::SequenceLayout layout_of(const tokenizers::TextTokenizer* text,
                                   const tokenizers::ImageTokenizer* image,
                                   const tokenizers::ShapeTokenizer* shape, std::int64_t text_capacity) {
  sequence::SequenceLayout layout;
  layout.text_capacity = text ? text_capacity : 1;
  if (image) layout.image_grid_side = image->grid_size();
  if (shape) {
    layout.geometry_lengths = shape->offered_lengths();
    layout.geometry_grid_side = shape->geometry_grid_side();
    layout.colour_codes = shape->colour_code_count();
    layout.colour_grid_side = shape->colour_grid_side();
  }
  return layout;
}

sequence::Vocabulary vocabulary_of(const tokenizers::TextTokenizer* text,
                                   const tokenizers::ImageTokenizer* image,
                                   const tokenizers::ShapeTokenizer* shape, bool views) {
  sequence::VocabularySizes sizes;
  if (text) sizes.text = text->vocabulary_size();
  if (image) sizes.image = static_cast<std::int32_t>(image->config().codebook_size);
  if (shape) {
    sizes.geometry = static_cast<std::int32_t>(shape->geometry_vocabulary());
    sizes.colour = shape->colour_code_count() > 0 ? static_cast<std::int32_t>(shape->colour_vocabulary()) : 0;
  }
  if (views) sizes.views = {geometry::kAzimuthBins, geometry::kElevationBins};
  return sequence::make_vocabulary(sizes);
}

std::vector<RangeCodebook> codebooks_of(const tokenizers::ImageTokenizer* image,
                                        const tokenizers::ShapeTokenizer* shape) {
  std::vector<RangeCodebook> codebooks;
  const auto add = [&](std::string_view range, const at::Tensor& codebook) {
    codebooks.push_back({std::string(range), codebook.detach().to(at::kFloat).cpu().contiguous()});
  };
  if (image) add(sequence::kRangeImage, image->codebook());
  if (shape) {
    add(sequence::kRangeGeometry, shape->geometry_codebook());
    if (shape->colour_code_count() > 0) add(sequence::kRangeColour, shape->colour_codebook());
  }
  return codebooks;
}

Bundle make_bundle(const TransformerConfig& config, std::unique_ptr<tokenizers::TextTokenizer> text,
                   std::unique_ptr<tokenizers::ImageTokenizer> image,
                   std::unique_ptr<tokenizers::ShapeTokenizer> shape, std::int64_t text_capacity, bool views,
                   std::uint64_t seed) {
  Bundle bundle;
  bundle.transformer =
      std::make_unique<Transformer>(config, vocabulary_of(text.get(), image.get(), shape.get(), views),
                                    layout_of(text.get(), image.get(), shape.get(), text_capacity), seed,
                                    codebooks_of(image.get(), shape.get()));
  bundle.text_tokenizer = std::move(text);
  bundle.image_tokenizer = std::move(image);
  bundle.shape_tokenizer = std::move(shape);
  return bundle;
}

void save_bundle(const Bundle& bundle, const std::filesystem::path& folder) {
  ensure(bundle.transformer != nullptr, "a bundle without a transformer cannot be saved");
  AtomicDirectory directory(folder, "bundle.yaml");
  const std::filesystem::path& staging = directory.staging_path();
  if (bundle.text_tokenizer) bundle.text_tokenizer->save(staging / "text_tokenizer.json");
  if (bundle.image_tokenizer) bundle.image_tokenizer->save(staging / "image_tokenizer");
  if (bundle.shape_tokenizer) bundle.shape_tokenizer->save(staging / "shape_tokenizer");
  write_file_atomically(staging / "vocabulary.json", bundle.vocabulary().to_json());
  BundleDescription d = describe_bundle(bundle);
  write_file_atomically(staging / "bundle.yaml", config_to_yaml([&](ConfigVisitor& v) { describe(v, d); }));
  bundle.transformer->parameters().save(staging / "model.safetensors",
                                        {{"vocabulary", d.vocabulary_fingerprint}});
  directory.commit();
}

Bundle load_bundle(const std::filesystem::path& folder) {
  const BundleDescription d = read_description(folder);
  Bundle bundle;
  if (d.text_tokenizer)
    bundle.text_tokenizer = std::make_unique<tokenizers::TextTokenizer>(
        tokenizers::TextTokenizer::load(folder / "text_tokenizer.json"));
  if (d.image_tokenizer)
    bundle.image_tokenizer = tokenizers::ImageTokenizer::load(folder / "image_tokenizer");
  if (d.shape_tokenizer)
    bundle.shape_tokenizer = tokenizers::load_shape_tokenizer(folder / "shape_tokenizer");
  const std::filesystem::path vocabulary_path = folder / "vocabulary.json";
  const auto vocabulary =
      sequence::Vocabulary::from_json(read_file_text(vocabulary_path), vocabulary_path.string());
  if (fingerprint_text(vocabulary) != d.vocabulary_fingerprint)
    fail(ErrorKind::input, "the bundle ", folder,
         " is of another vocabulary: vocabulary.json does not match bundle.yaml");
  check_tokenizers(bundle, vocabulary, d.layout, folder);
  check_views(vocabulary, folder);
  const SafetensorsFile weights(folder / "model.safetensors");
  const auto stamp = weights.metadata().find("vocabulary");
  if (stamp != weights.metadata().end() && stamp->second != d.vocabulary_fingerprint)
    fail(ErrorKind::input, "the bundle ", folder,
         ": model.safetensors is of another vocabulary than bundle.yaml");
  bundle.transformer =
      std::make_unique<Transformer>(d.transformer, vocabulary, d.layout, nn::ParameterStart::to_load(weights),
                                    codebooks_of(bundle.image_tokenizer.get(), bundle.shape_tokenizer.get()));
  bundle.transformer->parameters().load(weights);
  bundle.tasks = d.tasks;
  for (std::size_t i = 0; i < d.note_names.size(); ++i) bundle.notes[d.note_names[i]] = d.note_texts[i];
  return bundle;
}

std::vector<sequence::Task> load_bundle_tasks(const std::filesystem::path& folder) {
  return read_description(folder).tasks;
}

}  // namespace omni::model
