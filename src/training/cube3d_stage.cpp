#include "cube3d_stage.h"

#include <algorithm>

#include "omni/core/content_hash.h"
#include "omni/core/error.h"
#include "omni/core/weight_source.h"
#include "omni/model/public_layout.h"
#include "omni/model/public_model.h"
#include "stage_record.h"

namespace omni::training {
namespace {

namespace fs = std::filesystem;

constexpr const char* kTask = "text->shape";

void check(const StageConfig& config) {
  const auto refuse = [](const auto&... what) { fail(ErrorKind::usage, "fine-tuning Cube3D: ", what...); };
  const auto require_own = [&](const std::string& task) {
    if (task != kTask)
      refuse("the task '", task, "' is none of Cube3D's, which makes shapes of texts. The mixture is '",
             kTask, ": 1'");
  };
  for (const auto* tasks : {&config.mixture, &config.replay})
    for (const auto& [name, weight] : *tasks) require_own(name);
  for (const std::string& name : config.earlier_tasks) require_own(name);
  if (config.text_capacity != 0)
    refuse("'text_capacity' is for bundles; captions are cut off where the text tower reads no further");
  if (config.input_noise != 0 || config.control_noise != 0)
    refuse("'input_noise' and 'control_noise' are for bundles. Leave them out");
  if (config.sample_steps != 0)
    refuse("'sample_steps' is for bundles; `omni sample` draws from what the run leaves");
  if (config.view_rows_steps != 0) refuse("'view_rows_steps' is for bundles");
}

// A model with inputs of features and without a tokenizer of texts, which a bundle has that reads any.
bool is_public_models(const checkpoint::CheckpointReader& checkpoint) {
  if (fs::exists(tokenizers::TokenizerPaths::inside(checkpoint.common_folder()).text)) return false;
  return std::any_of(checkpoint.tensors().begin(), checkpoint.tensors().end(),
                     [](const auto& tensor) { return tensor.first.starts_with("feature_projection."); });
}

}  // namespace

bool Cube3dStage::starts_from(const StageConfig& config, const checkpoint::CheckpointReader* checkpoint) {
  if (config.stage != "finetune") return false;
  if (fs::exists(fs::path(config.start_bundle) / "public.yaml"))
    return model::public_family(config.start_bundle) == model::PublicFamily::cube3d;
  if (checkpoint != nullptr && is_public_models(*checkpoint))
    fail(ErrorKind::io, "fine-tuning Cube3D: start_bundle '", config.start_bundle,
         "' is needed to go on and is not there. Its text tower and tokenizers are not in the checkpoint ",
         checkpoint->folder(), ". Bring the folder back, or set start_bundle to where it is");
  return false;
}

Cube3dStage::Cube3dStage(const StageConfig& config, bool estimated) : config_(config) {
  check(config);
  model::Cube3dParts parts = model::open_cube3d_parts(config.start_bundle);
  sizes_ = parts.config;
  weights_ = parts.weights;
  // Bounds what is allocated, also where the values come from a checkpoint.
  model::require_layout(WeightSource(weights_), model::public_layout(sizes_));
  codebook_ = parts.tokenizers.shape()->geometry_codebook().detach().clone();
  // The text's tokens are read by its tower alone: any number of them.
  constexpr std::int64_t kAnyLength = 4096;
  form_.tokens = parts.tokenizers.format();
  form_.vocabulary = sequence::make_vocabulary(
      {.text = form_.tokens.text.vocabulary, .geometry = form_.tokens.shape.geometry_vocabulary});
  form_.layout.text_capacity = kAnyLength;
  form_.layout.geometry_lengths = {form_.tokens.shape.geometry_codes()};
  // An estimate keeps none.
  const std::uint64_t tower = estimated ? 0 : content_hash(fs::path(config.start_bundle) / "text");
  text_.emplace(std::move(parts.text), text_features_folder(config.output, tower));
  documents_.emplace(
      sizes_, text_->rows(), form_.layout.geometry_capacity(),
      [this, estimated](const std::vector<std::int32_t>& tokens) {
        return estimated ? std::vector<float>(static_cast<std::size_t>(text_->rows() * text_->width()))
                         : text_->of(tokens);
      });
}

model::Bundle Cube3dStage::bundle_of(std::unique_ptr<model::Transformer> transformer,
                                     nn::ParameterStart adapters) const {
  model::Bundle bundle;
  bundle.transformer = std::move(transformer);
  bundle.notes["stage"] = config_.stage;
  bundle.notes["public model"] = sizes_.box ? "Cube3D v0.5" : "Cube3D v0.1";
  bundle.notes["fine-tuned from"] = config_.start_bundle;
  if (config_.lora.rank == 0) return bundle;
  model::add_cube3d_adapters(*bundle.transformer, config_.lora, std::move(adapters));
  bundle.notes["lora"] = nn::to_text(config_.lora);
  return bundle;
}

model::Bundle Cube3dStage::start(const checkpoint::CheckpointReader* checkpoint) const {
  if (checkpoint == nullptr)
    return bundle_of(model::trainable_cube3d(sizes_, WeightSource(weights_), codebook_),
                     static_cast<std::uint64_t>(config_.seed));
  refuse_other_adapters(config_);
  model::Bundle bundle = bundle_of(model::trainable_cube3d(sizes_, nn::ParameterStart::unset(), codebook_),
                                   nn::ParameterStart::unset());
  model::load_weights(*checkpoint, *bundle.transformer);
  return bundle;
}

model::Bundle Cube3dStage::shapes() const {
  return bundle_of(model::trainable_cube3d(sizes_, nn::ParameterStart::shapes(), codebook_),
                   nn::ParameterStart::shapes());
}

DocumentForm Cube3dStage::form() const {
  DocumentForm form = form_;
  form.own_layout = {documents_->length(),
                     [this](sequence::PackedSequence& sequence, const sequence::Document& document) {
                       documents_->append(sequence, document);
                     }};
  return form;
}

void Cube3dStage::save(const model::Bundle& trained, const fs::path& out) const {
  model::save_trained_cube3d(config_.start_bundle, *trained.transformer, trained.notes, out);
}

}  // namespace omni::training
