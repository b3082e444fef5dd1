#include "omni/model/cube3d_growth.h"

#include <ATen/core/grad_mode.h>

#include "cube3d_inputs.h"
#include "omni/core/error.h"
#include "omni/core/weight_source.h"
#include "transformer_network.h"

namespace omni::model {
namespace {

constexpr const char *kCodeProjection = "shape_proj.weight", *kCodeBias = "shape_proj.bias",
                     *kHead = "head.weight", *kSource = "grown from";

// In the parameters of a transformer with a larger vocabulary: codes lie elsewhere there, and are projected by a parameter of
// their own.
PublicLayout layout_in(const sequence::Vocabulary& vocabulary, const Cube3dGptConfig& config) {
  const auto first = vocabulary.range(sequence::kRangeGeometry).first;
  const PublicLayout given = layout_with_inputs(config);
  PublicLayout layout;
  for (PublicTensor tensor : given.tensors()) {
    for (PublicTensor::Piece& piece : tensor.pieces) {
      if (piece.parameter == kHead && piece.parameter_row == sequence::kSpecialCount)
        piece.parameter_row = first;
      if (piece.parameter == kCodeProjection)
        piece.parameter = concat("codebook_projection.", sequence::kRangeGeometry);
    }
    layout.add(std::move(tensor));
  }
  return layout;
}

// What a longer text says could never be shown to the tower, without which the bundle is not trained on features.
std::int64_t fitting_text_capacity(std::int64_t asked, const TextTower& tower, const Cube3dFiles& files) {
  if (asked > tower.longest_text())
    fail(ErrorKind::usage, "growing a Cube3D: texts of ", asked,
         " tokens are asked for, and its text tower in '", files.text.weights.string(), "' reads ",
         tower.longest_text(), " at most. Give --text-capacity ", tower.longest_text(), " or less");
  return asked > 0 ? asked : tower.longest_text();
}

tokenizers::TokenizerSet tokenizers_of(const Cube3dFiles& files, TextTower& tower,
                                       std::unique_ptr<tokenizers::ImageTokenizer> image) {
  std::unique_ptr<tokenizers::TextTokenizer> text = tower.release_tokenizer();
  if (!text)
    fail(ErrorKind::input, "growing a Cube3D: its text tower in '", files.text.weights.string(),
         "' has no tokenizer.json, whose tokens texts are made of. Put it beside the weights");
  std::unique_ptr<tokenizers::ShapeTokenizer> shape = open_shape_tokenizer(files);
  if (!shape)
    fail(ErrorKind::input, "growing a Cube3D: '", files.weights.parent_path().string(),
         "' has no shape tokenizer, whose codes its shapes are made of. Import it with --shape-tokenizer");
  return {std::move(text), std::move(image), std::move(shape)};
}

void copy_gpt(const Cube3dGptConfig& config, const WeightSource& weights, Transformer& transformer) {
  const c10::NoGradGuard guard;
  nn::ParameterStore bias;
  bias.add(kCodeBias, {config.width}, nn::Init::zeros());
  nn::ParameterStore* const stores[] = {&transformer.parameters(), &bias};
  overwrite_weights(weights, layout_in(transformer.vocabulary(), config), stores);
  // What a code has beside its projection: the bias, the same for each.
  const sequence::TokenRange& codes = transformer.vocabulary().range(sequence::kRangeGeometry);
  transformer.network().embedding.narrow(0, codes.first, codes.size).copy_(bias.find(kCodeBias)->value);
}

}  // namespace

Bundle grow_cube3d(const Cube3dFiles& files, std::unique_ptr<tokenizers::ImageTokenizer> image,
                   const Cube3dGrowth& options) {
  ensure(image != nullptr, "a model is grown by the codes of pictures");
  const WeightSource weights(files.weights);
  require_layout(weights, public_layout(files.config));  // which bounds what is allocated
  const std::unique_ptr<TextTower> tower = open_cube3d_text(files);
  const std::int64_t text_capacity = fitting_text_capacity(options.text_capacity, *tower, files);
  Bundle bundle =
      make_bundle(config_with_inputs(files.config), tokenizers_of(files, *tower, std::move(image)),
                  text_capacity, /*views=*/false, options.seed);
  copy_gpt(files.config, weights, *bundle.transformer);
  bundle.notes["stage"] = "init";
  bundle.notes[kSource] = files.config.box ? "cube3d-v0.5" : "cube3d-v0.1";
  return bundle;
}

}  // namespace omni::model
