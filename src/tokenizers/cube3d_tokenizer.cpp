#include "omni/tokenizers/cube3d_tokenizer.h"

#include <ATen/core/grad_mode.h>

#include <cmath>
#include <string>

#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/json_text.h"

namespace omni::tokenizers {

using at::Tensor;

namespace {

constexpr std::int64_t kSurfacePoints = 8192;  // what the public encoder was trained on
constexpr double kTieTolerance = 1e-5;

// Sizes [rows, columns] of a matrix in the file.
std::pair<std::int64_t, std::int64_t> matrix_sizes(const SafetensorsFile& file, const std::string& name) {
  const std::vector<std::int64_t>& shape = file.at(name).shape;
  if (shape.size() != 2 || shape[0] < 1 || shape[1] < 1)
    fail(ErrorKind::input, "reading ", file.name(), ": tensor ", name,
         " is no matrix, so this is not a Cube3D shape tokenizer. Give shape_tokenizer.safetensors");
  return {shape[0], shape[1]};
}

std::int64_t count_blocks(const SafetensorsFile& file, const std::string& stack) {
  std::int64_t count = 0;
  while (file.contains(stack + ".blocks." + std::to_string(count) + ".attn.c_v.weight")) ++count;
  return count;
}

std::int64_t head_size(const SafetensorsFile& file) {
  for (const auto& [name, view] : file.tensors()) {
    if (name.ends_with(".attn.q_norm.weight") && view.shape.size() == 1 && view.shape[0] > 0)
      return view.shape[0];
  }
  fail(ErrorKind::input, "reading ", file.name(),
       ": no attn.q_norm.weight tells the size of a head. Give shape_tokenizer.safetensors of Cube3D");
}

void require_config(const std::filesystem::path& path, const VecsetShapeConfig& sizes) {
  nlohmann::json json;
  try {
    json = parse_json(read_file_text(path));
  } catch (const nlohmann::json::exception& error) {
    fail(ErrorKind::input, "reading ", path, ": ", error.what(), ". Give the reference's JSON configuration");
  }
  const auto require = [&](const char* key, const nlohmann::json& actual) {
    const auto found = json.is_object() ? json.find(key) : json.end();
    if (found == json.end())
      fail(ErrorKind::input, "reading ", path, ": no key ", key, ". The weights have ", json_text(actual));
    if (*found != actual)
      fail(ErrorKind::input, "reading ", path, ": ", key, " is ", json_text(*found), ", the weights have ",
           json_text(actual), ". Give the configuration that belongs to them");
  };
  require("num_encoder_latents", sizes.latents);
  require("encoder_with_cls_token", sizes.class_token);
  require("width", sizes.width);
  require("num_heads", sizes.heads);
  require("num_freqs", sizes.frequencies);
  require("num_encoder_layers", sizes.encoder_layers);
  require("encoder_cross_attention_levels", sizes.encoder_cross_attention_layers);
  require("num_decoder_layers", sizes.decoder_layers);
  require("num_codes", sizes.quantiser.codebook_size);
  require("embed_dim", sizes.quantiser.codebook_dim);
}

// A tensor of `file` with the wanted sizes; -1 leaves one open.
Tensor reference(const SafetensorsFile& file, const char* name, const std::vector<std::int64_t>& sizes) {
  Tensor tensor = nn::to_tensor(file.at(name));
  bool fits = tensor.dim() == static_cast<std::int64_t>(sizes.size()) && tensor.numel() > 0;
  for (std::size_t i = 0; fits && i < sizes.size(); ++i)
    fits = sizes[i] < 0 || tensor.size(static_cast<std::int64_t>(i)) == sizes[i];
  if (!fits)
    fail(ErrorKind::input, "reading ", file.name(), ": tensor ", name, " has shape ", tensor.sizes(),
         ", not ", at::IntArrayRef(sizes), " (-1: any). Give the outputs that belong to these weights");
  return tensor;
}

void compare_indices(const Tensor& prepared, const Tensor& codebook, const Tensor& found,
                     const Tensor& expected, Cube3dAgreement& agreement) {
  agreement.index_count = expected.numel();
  const Tensor other = found.ne(expected).nonzero();
  agreement.equal_indices = agreement.index_count - other.size(0);
  for (std::int64_t i = 0; i < other.size(0); ++i) {
    Cube3dAgreement::Index index{.row = other[i][0].item<std::int64_t>(),
                                 .latent = other[i][1].item<std::int64_t>()};
    index.expected = expected[index.row][index.latent].item<std::int64_t>();
    index.found = found[index.row][index.latent].item<std::int64_t>();
    const Tensor latent = prepared[index.row][index.latent].to(at::kDouble);
    const auto distance = [&](std::int64_t code) {
      return (latent - codebook[code].to(at::kDouble)).norm().item<double>();
    };
    index.expected_distance = distance(index.expected);
    index.found_distance = distance(index.found);
    const double gap = std::abs(index.expected_distance - index.found_distance);
    if (gap <= kTieTolerance * index.expected_distance)
      ++agreement.ties;
    else if (!agreement.first_other_index)
      agreement.first_other_index = index;
  }
}

void compare_field(const Tensor& found, const Tensor& expected, Cube3dAgreement& agreement) {
  const Tensor error = at::nan_to_num((found - expected).abs(), INFINITY, INFINITY);
  agreement.field_count = error.numel();
  const std::int64_t worst = error.argmax().item<std::int64_t>();
  const std::int64_t row = worst / error.size(1), query = worst % error.size(1);
  agreement.largest_field_error = error[row][query].item<double>();
  agreement.largest_error_at = {.row = row,
                                .query = query,
                                .expected = expected[row][query].item<double>(),
                                .found = found[row][query].item<double>()};
}

// The field at many points of one shape, in chunks that bound the activations.
Tensor field_in_chunks(const VecsetShapeNetwork& network, const Tensor& latents, const Tensor& queries) {
  constexpr std::int64_t kChunk = 8192;
  std::vector<Tensor> rows;
  for (std::int64_t row = 0; row < queries.size(0); ++row) {
    const auto keys_values = network.field_keys_values(latents.narrow(0, row, 1));
    std::vector<Tensor> parts;
    for (const Tensor& part : queries.narrow(0, row, 1).split(kChunk, 1))
      parts.push_back(network.field(keys_values, part));
    rows.push_back(at::concat(parts, 1));
  }
  return at::concat(rows, 0);
}

}  // namespace

VecsetShapeConfig cube3d_tokenizer_config(const SafetensorsFile& weights) {
  VecsetShapeConfig config;
  const auto [queries, width] = matrix_sizes(weights, "encoder.query");
  config.latents = matrix_sizes(weights, "decoder.positional_encodings").first;
  config.class_token = queries == config.latents + 1;
  config.width = width;
  const std::int64_t head = head_size(weights);
  if (width % head != 0)
    fail(ErrorKind::input, "reading ", weights.name(), ": heads of ", head, " do not divide the width ",
         width);
  config.heads = width / head;
  for (const char* name : {"embedder.weight", "encoder.embedder.weight", "occupancy_decoder.embedder.weight"})
    if (weights.contains(name)) config.frequencies = matrix_sizes(weights, name).second;
  const auto [codes, dimensions] = matrix_sizes(weights, "bottleneck.block.codebook.weight");
  config.quantiser.kind = "spherical";
  config.quantiser.codebook_size = codes;
  config.quantiser.codebook_dim = dimensions;
  config.encoder_layers = count_blocks(weights, "encoder");
  config.decoder_layers = count_blocks(weights, "decoder");
  config.encoder_cross_attention_layers.clear();
  for (std::int64_t i = 0; i < config.encoder_layers; ++i)
    if (weights.contains("encoder.blocks." + std::to_string(i) + ".attn.c_q.weight"))
      config.encoder_cross_attention_layers.push_back(i);
  config.surface_points = kSurfacePoints;
  return config;
}

std::unique_ptr<VecsetShapeTokenizer> import_cube3d_tokenizer(const std::filesystem::path& weights) {
  const SafetensorsFile file(weights);
  auto tokenizer = std::make_unique<VecsetShapeTokenizer>(cube3d_tokenizer_config(file),
                                                          nn::ParameterStart::to_load(file));
  tokenizer->network().load(file);
  tokenizer->network().parameters().set_trainable(false);
  return tokenizer;
}

CodebookSize require_fitting_cube3d_tokenizer(const std::filesystem::path& weights) {
  const SafetensorsFile file(weights);
  const VecsetShapeConfig config = cube3d_tokenizer_config(file);
  VecsetShapeNetwork(config, nn::ParameterStart::shapes()).require_fitting(file);
  return {config.quantiser.codebook_size, config.quantiser.codebook_dim};
}

Cube3dAgreement verify_cube3d_tokenizer(const std::filesystem::path& weights,
                                        const std::filesystem::path& config,
                                        const std::filesystem::path& expected, at::ScalarType precision) {
  const c10::NoGradGuard no_grad;
  const auto tokenizer = import_cube3d_tokenizer(weights);
  tokenizer->compute_in(precision);
  const VecsetShapeNetwork& network = tokenizer->network();
  require_config(config, network.config());

  const SafetensorsFile outputs(expected);
  const Tensor surface = reference(outputs, "surface", {-1, -1, 6}).to(at::kFloat);
  const std::int64_t batch = surface.size(0);
  const Tensor queries = reference(outputs, "queries", {batch, -1, 3}).to(at::kFloat);
  const Tensor indices = reference(outputs, "indices", {batch, network.config().latents}).to(at::kLong);
  const Tensor logits = reference(outputs, "logits", {batch, queries.size(1)}).to(at::kFloat);
  if (indices.min().item<std::int64_t>() < 0 ||
      indices.max().item<std::int64_t>() >= network.quantiser().vocabulary())
    fail(ErrorKind::input, "reading ", expected, ": tensor indices names codes beyond the codebook's ",
         network.quantiser().vocabulary(), ". Give the outputs that belong to these weights");

  Cube3dAgreement agreement;
  const Tensor prepared = network.prepared(network.encode(surface).latents);
  const nn::Quantiser& quantiser = network.quantiser();
  compare_indices(prepared, quantiser.codebook(), quantiser.nearest(prepared), indices, agreement);
  const Tensor latents = network.decode(quantiser.lookup(indices));
  compare_field(field_in_chunks(network, latents, queries), logits, agreement);
  return agreement;
}

}  // namespace omni::tokenizers
