#include "omni/model/cube3d_training.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <map>

#include "cube3d_inputs.h"
#include "feature_projection.h"
#include "low_rank_layers.h"
#include "omni/core/error.h"
#include "omni/core/interrupt.h"
#include "omni/sequence/vocabulary.h"
#include "transformer_network.h"

namespace omni::model {
namespace {

constexpr std::int32_t kTextInput = 0, kBoxInput = 1;
constexpr const char *kTextName = "text", *kBoxName = "box";
constexpr const char *kCodeProjection = "codebook_projection.geometry", *kCodebook = "codebook.geometry",
                     *kTokenRows = "embedding.weight", *kTokenTensor = "transformer.wte.weight";

std::string feature_parameter(const char* input, const char* part) {
  return concat("feature_projection.", input, ".", part);
}

}  // namespace

TransformerConfig config_with_inputs(const Cube3dGptConfig& config) {
  TransformerConfig t = transformer_config(config);
  t.codebook_embedding = true;
  t.features = {{kTextName, config.text_width}};
  if (config.box) t.features.push_back({kBoxName, 3});
  return t;
}

PublicLayout layout_with_inputs(const Cube3dGptConfig& config) {
  std::map<std::string, std::string> renamed;
  for (const char* part : {"weight", "bias"}) {
    renamed[concat("text_proj.", part)] = feature_parameter(kTextName, part);
    renamed[concat("bbox_proj.", part)] = feature_parameter(kBoxName, part);
  }
  PublicLayout layout;
  const PublicLayout given = public_layout(config);
  for (PublicTensor tensor : given.tensors()) {
    for (PublicTensor::Piece& piece : tensor.pieces)
      if (const auto found = renamed.find(piece.parameter); found != renamed.end())
        piece.parameter = found->second;
    // Codes are projected, never looked up.
    if (tensor.name == kTokenTensor) tensor.pieces.erase(tensor.pieces.begin());
    layout.add(std::move(tensor));
  }
  return layout;
}

std::map<std::string, Tensor> fresh_text_projection(const Cube3dGptConfig& config, nn::ParameterStart start) {
  nn::ParameterStore store(std::move(start));
  const TransformerConfig t = config_with_inputs(config);
  const FeatureProjection fresh = add_feature_projection(nn::ParameterScope(store), t, t.features.front());
  return {{"text_proj.weight", fresh.weight.detach()}, {"text_proj.bias", fresh.bias.detach()}};
}

namespace {

Tensor with_ones(const Tensor& codebook) {
  return at::concat({codebook.to(at::kFloat), at::ones({codebook.size(0), 1}, at::kFloat)}, 1);
}

// Of a parameter whose first rows no tensor gives: queries and keys without a bias.
std::map<std::string, std::int64_t> rows_left_out(const PublicLayout& layout) {
  std::map<std::string, std::int64_t> first;
  for (const PublicTensor& tensor : layout.tensors())
    for (const PublicTensor::Piece& piece : tensor.pieces) {
      const auto [known, added] = first.try_emplace(piece.parameter, piece.parameter_row);
      if (!added) known->second = std::min(known->second, piece.parameter_row);
    }
  std::erase_if(first, [](const auto& item) { return item.second == 0; });
  return first;
}

void freeze_what_is_not_trained(const PublicLayout& layout, nn::ParameterStore& parameters) {
  parameters.freeze([](const nn::Parameter& parameter) { return parameter.name == kTokenRows; });
  for (const auto& [name, rows] : rows_left_out(layout)) parameters.freeze_rows(name, {0, rows});
}

// The values of one public tensor.
Tensor public_values(const PublicTensor& wanted, const nn::ParameterStore& parameters,
                     const std::map<std::string, Tensor>& others) {
  Tensor values = at::empty(wanted.shape, at::kFloat);
  for (const PublicTensor::Piece& piece : wanted.pieces) {
    const auto other = others.find(piece.parameter);
    const Tensor from = other != others.end() ? other->second : parameters.find(piece.parameter)->master;
    values.narrow(0, piece.tensor_row, piece.rows).copy_(from.narrow(0, piece.parameter_row, piece.rows));
  }
  return values;
}

}  // namespace

std::unique_ptr<Transformer> trainable_cube3d(const Cube3dGptConfig& config, nn::ParameterStart start,
                                              const at::Tensor& codebook) {
  ensure(codebook.size(0) == config.shape_codes && codebook.size(1) == config.code_dimension,
         "the codebook has another shape");
  // The projection's weight and its bias are columns of one parameter here.
  const std::vector<RangeCodebook> codebooks = {{std::string(sequence::kRangeGeometry), with_ones(codebook)}};
  auto transformer = std::make_unique<Transformer>(config_with_inputs(config), vocabulary(config),
                                                   sequence::SequenceLayout{}, std::move(start), codebooks);
  freeze_what_is_not_trained(layout_with_inputs(config), transformer->parameters());
  return transformer;
}

std::unique_ptr<Transformer> trainable_cube3d(const Cube3dGptConfig& config, const WeightSource& weights,
                                              const at::Tensor& codebook) {
  const c10::NoGradGuard guard;
  require_layout(weights, public_layout(config));  // which bounds what is allocated
  auto transformer = trainable_cube3d(config, nn::ParameterStart::unset(), codebook);
  nn::ParameterStore& parameters = transformer->parameters();
  nn::ParameterStore projection;
  projection.add("shape_proj.weight", {config.width, config.code_dimension}, nn::Init::zeros());
  projection.add("shape_proj.bias", {config.width}, nn::Init::zeros());
  nn::ParameterStore* const stores[] = {&parameters, &projection};
  read_weights(weights, layout_with_inputs(config), stores);
  parameters.find(kCodebook)->master.copy_(with_ones(codebook));
  parameters.find(kCodeProjection)
      ->master.copy_(at::concat({projection.find("shape_proj.weight")->value,
                                 projection.find("shape_proj.bias")->value.unsqueeze(1)},
                                1));
  return transformer;
}

void add_cube3d_adapters(Transformer& trainable, const nn::LowRankConfig& config, nn::ParameterStart start) {
  add_adapters_beside(trainable, config, std::move(start),
                      [](const nn::Parameter& parameter) { return parameter.name == kCodeProjection; });
}

void export_cube3d(const Cube3dGptConfig& config, const Transformer& trained, const WeightSource& original,
                   const std::filesystem::path& path) {
  const c10::NoGradGuard guard;
  const nn::ParameterStore& parameters = trained.parameters();
  const Tensor projection = parameters.find(kCodeProjection)->master,
               codebook = parameters.find(kCodebook)->master.narrow(1, 0, config.code_dimension);
  std::map<std::string, Tensor> others;
  const Tensor weight = others["shape_proj.weight"] =
      projection.narrow(1, 0, config.code_dimension).contiguous();
  const Tensor bias = others["shape_proj.bias"] = projection.select(1, config.code_dimension).contiguous();
  // As they are after the reference has overwritten them.
  const Tensor rows = others[kTokenRows] = parameters.find(kTokenRows)->master.clone();
  rows.narrow(0, sequence::kSpecialCount, config.shape_codes)
      .copy_(at::linear(codebook.contiguous(), weight, bias));

  PublicLayout layout = layout_with_inputs(config);
  std::map<std::string, const PublicTensor*> by_name;
  for (const PublicTensor& tensor : layout.tensors()) by_name[tensor.name] = &tensor;
  const PublicLayout whole = public_layout(config);
  for (const PublicTensor& tensor : whole.tensors())
    if (tensor.name == kTokenTensor) by_name[tensor.name] = &tensor;
  std::vector<Tensor> held;
  std::vector<NamedTensorView> views;
  for (const auto& [name, view] : original.tensors()) {
    throw_if_interrupted();
    const auto own = by_name.find(name);
    if (own == by_name.end()) {
      views.push_back({name, view});
      continue;
    }
    held.push_back(public_values(*own->second, parameters, others).to(nn::scalar_type(view.dtype)));
    views.push_back({name, nn::view_of(held.back())});
  }
  write_safetensors(path, views);
}

namespace {

void append_token(sequence::PackedSequence& sequence, std::int32_t token, std::int32_t offset,
                  sequence::Modality stream) {
  sequence.tokens.push_back(token);
  sequence.streams.push_back(stream);
  sequence.segments.push_back(stream == sequence::Modality::text ? 0 : 1);
  sequence.offsets.push_back(offset);
  sequence.rows.push_back(0);
  sequence.columns.push_back(0);
  sequence.slots.push_back(0);
  sequence.targets.push_back(-1);
  sequence.loss_weights.push_back(0);
  sequence.target_modalities.push_back(sequence::Modality::shape);
  sequence.allowed.push_back(-1);
}

// Zeros where there is none; else as the publication scales them.
std::vector<float> box_values(const sequence::ShapePayload& shape) {
  constexpr double kLongestSide = 1.925;
  std::vector<float> sides(3);
  double longest = 0;
  for (std::size_t axis = 0; axis < 3; ++axis) {
    if (!shape.box[axis]) return std::vector<float>(3);
    const double share = sequence::box_share_of_bin(*shape.box[axis]);
    longest = std::max(longest, share);
    sides[axis] = static_cast<float>(share);
  }
  if (longest == 0) return sides;
  for (float& side : sides) side = static_cast<float>(side * kLongestSide / longest);
  return sides;
}

}  // namespace

void Cube3dDocuments::append_condition(sequence::PackedSequence& sequence, std::int32_t input,
                                       std::vector<float> values, std::int64_t rows) const {
  ensure(static_cast<std::int64_t>(values.size()) ==
             rows * (input == kTextInput ? config_.text_width : std::int64_t{3}),
         "features of another size");
  sequence.features.push_back({sequence.length(), input, std::move(values)});
  // Any token: the features stand in its place. All of a condition has position 0.
  for (std::int64_t i = 0; i < rows; ++i) append_token(sequence, sequence::kPad, 0, sequence::Modality::text);
}

void Cube3dDocuments::append(sequence::PackedSequence& sequence, const sequence::Document& document) const {
  ensure(document.segments.size() == 2, "a document of Cube3D is a text and a shape");
  const sequence::Segment& caption = document.segments[0];
  const auto& text = std::get<sequence::TextPayload>(caption.payload);
  const auto& shape = std::get<sequence::ShapePayload>(document.segments[1].payload);
  ensure(static_cast<std::int64_t>(shape.geometry.size()) == codes_, "a shape of ", shape.geometry.size(),
         " codes, not ", codes_);
  if (sequence.document_starts.empty()) sequence.document_starts.push_back(0);
  append_condition(sequence, kTextInput, text_(caption.dropped ? std::vector<std::int32_t>() : text.tokens),
                   text_rows_);
  if (config_.box) append_condition(sequence, kBoxInput, box_values(shape), 1);
  sequence::AllowedTokens codes;
  codes.add(sequence::kSpecialCount, static_cast<std::int32_t>(config_.shape_codes));
  if (sequence.allowed_sets.empty()) sequence.allowed_sets.push_back(codes);
  std::int32_t token = sequence::kBos;
  for (std::size_t i = 0; i <= shape.geometry.size(); ++i) {
    append_token(sequence, token, static_cast<std::int32_t>(i), sequence::Modality::shape);
    if (i == shape.geometry.size()) break;
    token = sequence::kSpecialCount + shape.geometry[i];
    sequence.targets.back() = token;
    sequence.loss_weights.back() = 1;
    sequence.allowed.back() = 0;
  }
  sequence.document_starts.push_back(sequence.length());
}

}  // namespace omni::model
