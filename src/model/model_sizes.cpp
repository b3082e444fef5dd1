#include "omni/model/model_sizes.h"

#include <algorithm>
#include <optional>

#include "omni/core/error.h"
#include "public_config.h"

namespace omni::model {
namespace {

// A parameter, or the part of one that a public file holds.
struct Entry {
  std::string name;
  std::int64_t elements = 0;
  bool matrix = false;
};

void describe(ConfigVisitor& visitor, sequence::VocabularySizes& sizes) {
  const auto size = [&](const char* key, std::int32_t& value) {
    std::int64_t wide = value;
    visitor.integer(key, wide, {.minimum = 0, .maximum = kVocabularies.maximum});
    value = static_cast<std::int32_t>(wide);
  };
  size("text", sizes.text);
  size("image", sizes.image);
  size("geometry", sizes.geometry);
  size("colour", sizes.colour);
  size("azimuth", sizes.views.azimuth);
  size("elevation", sizes.views.elevation);
}

void describe(ConfigVisitor& visitor, ModelDescription& d) {
  visitor.choice("family", d.family, {"omni", "cube3d", "qwen3"});
  visitor.integer("context", d.context, {.minimum = 1, .maximum = 1 << 24});
  if (d.family == "cube3d") visitor.section("cube3d", [&](ConfigVisitor& v) { describe(v, d.cube3d); });
  if (d.family == "qwen3") visitor.section("qwen3", [&](ConfigVisitor& v) { describe(v, d.qwen3); });
  if (d.family != "omni") return;
  visitor.section("transformer", [&](ConfigVisitor& v) { describe(v, d.transformer); });
  visitor.section("vocabulary", [&](ConfigVisitor& v) { describe(v, d.vocabulary); });
  visitor.section("layout", [&](ConfigVisitor& v) { sequence::describe(v, d.layout); });
}

std::vector<Entry> entries_of(const PublicLayout& layout) {
  std::vector<Entry> entries;
  for (const PublicTensor& tensor : layout.tensors())
    entries.push_back(
        {tensor.pieces.front().parameter, c10::multiply_integers(tensor.shape), tensor.shape.size() > 1});
  return entries;
}

std::vector<Entry> entries_of(const Transformer& shapes) {
  std::vector<Entry> entries;
  for (const nn::Parameter& parameter : shapes.parameters().all())
    entries.push_back({parameter.name, parameter.value.numel(), parameter.value.dim() > 1});
  return entries;
}

std::string part_of(const std::string& parameter) {
  const auto begins = [&](const char* start) { return parameter.starts_with(start); };
  if (begins("dual_blocks."))
    return parameter.find(".text.") != std::string::npos ? "dual blocks, text stream"
                                                         : "dual blocks, generated stream";
  if (begins("single_blocks.")) return "single blocks";
  if (begins("embedding.")) return "embedding";
  if (begins("head.")) return "head";
  if (begins("slot_embedding.") || begins("next_slot_embedding.")) return "slot embeddings";
  if (begins("final_norm.")) return "final norm";
  return "projections of conditions and codes";
}

std::vector<ModelSizes::Part> parts_of(const std::vector<Entry>& entries) {
  std::vector<ModelSizes::Part> parts;
  for (const Entry& entry : entries) {
    const std::string name = part_of(entry.name);
    auto found =
        std::find_if(parts.begin(), parts.end(), [&](const auto& part) { return part.name == name; });
    if (found == parts.end()) found = parts.insert(parts.end(), ModelSizes::Part{.name = name});
    found->parameters += entry.elements;
    ++found->tensors;
  }
  return parts;
}

// Elements of the matrices of these parts, by which a row is multiplied.
double matrix_elements(const std::vector<Entry>& entries, const std::vector<std::string>& parts) {
  double sum = 0;
  for (const Entry& entry : entries)
    if (entry.matrix && std::find(parts.begin(), parts.end(), part_of(entry.name)) != parts.end())
      sum += static_cast<double>(entry.elements);
  return sum;
}

ModelSizes::Flops flops_of(const ModelSizes& sizes, const std::vector<Entry>& entries, bool text) {
  const TransformerConfig& t = sizes.transformer;
  const bool silent = text && t.drops_text();
  std::vector<std::string> parts = {text ? "dual blocks, text stream" : "dual blocks, generated stream"};
  if (!silent) parts.emplace_back("single blocks");
  // The last dual block of a silent stream only gives keys and values.
  const std::int64_t attending = silent ? t.dual_blocks - 1 : t.block_count();
  return {
      .linear = 2 * matrix_elements(entries, parts),
      .attention = 4 * static_cast<double>(attending * t.query_width()) * static_cast<double>(sizes.context),
      .head = silent ? 0 : 2 * static_cast<double>(t.width) * static_cast<double>(sizes.vocabulary.size())};
}

ModelSizes::Precision sampling_in(const std::string& name, double bytes, const ModelSizes& sizes,
                                  const std::vector<Entry>& entries) {
  const TransformerConfig& t = sizes.transformer;
  ModelSizes::Precision precision{.name = name};
  for (const Entry& entry : entries) {
    const auto elements = static_cast<double>(entry.elements);
    precision.weights += elements * (entry.matrix ? bytes : 4);
    // A scale per row; the rows of blocks' matrices are about as long as the model is wide.
    if (entry.matrix && bytes == 1) precision.weights += 4 * elements / static_cast<double>(t.width);
  }
  const double head = static_cast<double>(t.attention_head_size()) * bytes + (bytes == 1 ? 4 : 0);
  precision.cache = 2 * head * static_cast<double>(t.stored_heads() * t.block_count() * sizes.context);
  return precision;
}

ModelSizes::Training training_in(const std::string& name, bool bf16, const std::vector<Entry>& entries) {
  ModelSizes::Training training{.name = name};
  for (const Entry& entry : entries) {
    const auto elements = static_cast<double>(entry.elements);
    const bool narrow = bf16 && entry.matrix && entry.name.find("_blocks.") != std::string::npos;
    training.weights += elements * (narrow ? 2 : 4);
    training.masters += narrow ? 4 * elements : 0;
    training.gradients += 4 * elements;
    training.moments += 8 * elements;
  }
  return training;
}

}  // namespace

ModelDescription ModelDescription::load(const std::filesystem::path& yaml) {
  ModelDescription d;
  ConfigFile::load(yaml).read([&](ConfigVisitor& v) { describe(v, d); });
  return d;
}

std::int64_t ModelSizes::parameters() const {
  std::int64_t sum = 0;
  for (const Part& part : parts) sum += part.parameters;
  return sum;
}

std::int64_t ModelSizes::tensors() const {
  std::int64_t sum = 0;
  for (const Part& part : parts) sum += part.tensors;
  return sum;
}

namespace {

void add_figures(ModelSizes& sizes, const std::vector<Entry>& entries) {
  sizes.parts = parts_of(entries);
  sizes.generated = flops_of(sizes, entries, /*text=*/false);
  sizes.text = sizes.transformer.streams == 2 ? flops_of(sizes, entries, /*text=*/true) : sizes.generated;
  for (const auto& [name, bytes] :
       std::vector<std::pair<std::string, double>>{{"fp32", 4}, {"bf16", 2}, {"int8", 1}})
    sizes.sampling.push_back(sampling_in(name, bytes, sizes, entries));
  sizes.training = {training_in("fp32", false, entries), training_in("bf16", true, entries)};
}

}  // namespace

ModelSizes model_sizes(const Transformer& shapes, std::int64_t context) {
  ModelSizes sizes{.transformer = shapes.config(), .vocabulary = shapes.vocabulary(), .context = context};
  add_figures(sizes, entries_of(shapes));
  return sizes;
}

ModelSizes model_sizes(const ModelDescription& d) {
  ModelSizes sizes;
  sizes.context = d.context;
  std::vector<Entry> entries;
  if (d.family == "cube3d") {
    sizes.transformer = transformer_config(d.cube3d);
    sizes.vocabulary = vocabulary(d.cube3d);
    entries = entries_of(public_layout(d.cube3d));
  } else if (d.family == "qwen3") {
    sizes.transformer = transformer_config(d.qwen3);
    sizes.vocabulary = vocabulary(d.qwen3);
    entries = entries_of(public_layout(d.qwen3));
  } else {
    sizes.transformer = d.transformer;
    sizes.vocabulary = sequence::make_vocabulary(d.vocabulary);
    sequence::check_layout(d.layout, sizes.vocabulary);
    entries =
        entries_of(Transformer(d.transformer, sizes.vocabulary, d.layout, nn::ParameterStart::shapes()));
  }
  validate(sizes.transformer);
  add_figures(sizes, entries);
  return sizes;
}

}  // namespace omni::model
