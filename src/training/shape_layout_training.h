#pragma once

#include <memory>
#include <utility>

#include "omni/core/random.h"
#include "omni/training/shape_tokenizer_training.h"
#include "shape_samples.h"

namespace omni::training {

// What training needs of a layout: one forward pass and its losses.

struct ShapeLosses {
  at::Tensor total;                                      // scalar, with gradient
  std::vector<std::pair<std::string, double>> measured;  // for the log
  at::Tensor indices;  // geometry codes [B, codes]; undefined while continuous
};

class ShapeLayoutTraining {
 public:
  virtual ~ShapeLayoutTraining() = default;
  virtual tokenizers::ShapeTokenizer& tokenizer() = 0;
  virtual nn::ParameterStore& parameters() = 0;
  // `quantise` false: continuous codes. The quantisers' codebooks start from the first quantised batches.
  virtual ShapeLosses forward(const ShapeBatch& batch, bool quantise, CounterRng& rng) = 0;
  // Called before the first quantised step with a few batches: sets the codebooks. A geometry codebook that
  // came with config.start stays.
  virtual void start_quantisers(const std::vector<ShapeBatch>& batches, CounterRng& rng) = 0;
  // Called after every quantised optimiser step.
  virtual void learn_codebooks(CounterRng& rng) = 0;
  // Those that learn, by name.
  virtual std::vector<std::pair<std::string, nn::Quantiser*>> quantisers() = 0;
};

std::unique_ptr<ShapeLayoutTraining> make_grid_training(const ShapeTokenizerTrainingConfig& config);
std::unique_ptr<ShapeLayoutTraining> make_vecset_training(const ShapeTokenizerTrainingConfig& config);

// [batch], true for about `share` of the samples: those that skip quantisation.
at::Tensor bypassed_samples(std::int64_t batch, double share, CounterRng& rng);

// Mixes quantised and continuous values [B, codes, dims]: samples in `bypass` stay continuous, and a share of
// the others' codes is replaced by another sample's code at the same place, so that the decoder bears wrong
// codes.
at::Tensor mix_code_values(const at::Tensor& continuous, const at::Tensor& quantised,
                           const at::Tensor& bypass, double noise_share, CounterRng& rng);

// How far the field's values [B, P] are from the batch's truth, as config.field_loss says.
at::Tensor field_loss(const ShapeTokenizerTrainingConfig& config, const at::Tensor& values,
                      const ShapeBatch& batch);

// Intersection over union of (logits > 0) and inside over all points given: a quick stand-in for volume IoU.
double point_iou(const at::Tensor& logits, const at::Tensor& inside);

}  // namespace omni::training
