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

tokenizers::TokenizerSet tokenizers_of(const Cube3dFiles& files,
                                       std::unique_ptr<tokenizers::ImageTokenizer> image) {
  std::unique_ptr<tokenizers::TextTokenizer> text = open_cube3d_text(files)->release_tokenizer();
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
  Bundle bundle = make_bundle(config_with_inputs(files.config), tokenizers_of(files, std::move(image)),
                              options.text_capacity, /*views=*/false, options.seed);
  copy_gpt(files.config, weights, *bundle.transformer);
  bundle.notes["stage"] = "init";
  bundle.notes[kSource] = files.config.box ? "cube3d-v0.5" : "cube3d-v0.1";
  return bundle;
}

}  // namespace omni::model
