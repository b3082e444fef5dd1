#pragma once

#include <filesystem>
#include <optional>

#include "omni/checkpoint/reader.h"
#include "omni/model/bundle.h"
#include "omni/model/cube3d_training.h"
#include "omni/training/stage_config.h"
#include "stage_data.h"
#include "text_features.h"

namespace omni::training {

// A stage that goes on from an imported Cube3D in place of a bundle.
class Cube3dStage {
 public:
  // Whether config.start_bundle is one. Throws Error(io) where there is none and the checkpoint, of the run that goes on, is
  // of such a stage.
  static bool starts_from(const StageConfig& config,
                          const checkpoint::CheckpointReader* checkpoint = nullptr);

  // Throws Error(usage) for keys that have no meaning here, Error(io) and Error(input) for the folder.
  // `estimated`: zeros stand for the features of texts, and nothing is written.
  explicit Cube3dStage(const StageConfig& config, bool estimated = false);
  Cube3dStage(const Cube3dStage&) = delete;
  Cube3dStage& operator=(const Cube3dStage&) = delete;

  // The GPT as training sees it, with the config's adapters; no tokenizers. From a checkpoint of the run, if there is one.
  model::Bundle start(const checkpoint::CheckpointReader* checkpoint) const;
  // Of shapes alone, for estimates.
  model::Bundle shapes() const;
  // Texts and shapes in the tokenizers' numbering. Lives no longer than this.
  DocumentForm form() const;
  // What the run leaves: a folder as the one that it started from, with the trained weights and the notes of the bundle.
  void save(const model::Bundle& trained, const std::filesystem::path& out) const;

 private:
  model::Bundle bundle_of(std::unique_ptr<model::Transformer> transformer, nn::ParameterStart adapters) const;

  const StageConfig& config_;
  model::Cube3dGptConfig sizes_;
  std::filesystem::path weights_;
  at::Tensor codebook_;
  DocumentForm form_;
  std::optional<TextFeatures> text_;
  std::optional<model::Cube3dDocuments> documents_;
};

}  // namespace omni::training
