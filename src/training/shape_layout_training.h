#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "batch_share.h"
#include "omni/core/random.h"
#include "omni/training/shape_tokenizer_training.h"
#include "shape_samples.h"

namespace omni::training {

// What training needs of a layout: one forward pass and its losses.

// A figure of a batch for the log: what its ranks have of it in all, by what that is a part of in all.
struct ShapeMeasure {
  std::string name;
  double part = 0, whole = 0;
  double value() const { return whole > 0 ? part / whole : 1.0; }
};

struct ShapeLosses {
  at::Tensor total;  // scalar, with gradient: the mean over this rank's samples
  std::vector<ShapeMeasure> measured;
  at::Tensor indices;  // geometry codes [B, codes]; undefined while continuous
};

class ShapeLayoutTraining {
 public:
  virtual ~ShapeLayoutTraining() = default;
  virtual tokenizers::ShapeTokenizer& tokenizer() = 0;
  virtual nn::ParameterStore& parameters() = 0;
  // Of this rank's samples; `rng` is the same one on all ranks. `quantise` false: continuous codes. The quantisers'
  // codebooks start from the first quantised batches.
  virtual ShapeLosses forward(const ShapeBatch& batch, bool quantise, CounterRng& rng) = 0;
  // Called before the first quantised step with a few batches: sets the codebooks. A geometry codebook that
  // came with config.start stays.
  virtual void start_quantisers(const std::vector<ShapeBatch>& batches, CounterRng& rng) = 0;
  // Called after every quantised optimiser step.
  virtual void learn_codebooks(CounterRng& rng) = 0;
  // Those that learn, by name.
  virtual std::vector<std::pair<std::string, nn::Quantiser*>> quantisers() = 0;
};

// `share` must outlive what is made.
std::unique_ptr<ShapeLayoutTraining> make_grid_training(const ShapeTokenizerTrainingConfig& config,
                                                        const BatchShare& share);
std::unique_ptr<ShapeLayoutTraining> make_vecset_training(const ShapeTokenizerTrainingConfig& config,
                                                          const BatchShare& share);

// [B] of this rank's samples, true for about `bypass_share` of the batch's: those that skip quantisation.
at::Tensor bypassed_samples(const BatchShare& share, double bypass_share, CounterRng& rng);

// Mixes quantised and continuous values [B, codes, dims] of this rank's samples: those in `bypass` stay continuous,
// and a share of the others' codes is replaced by another sample's code at the same place, so that the decoder bears
// wrong codes.
at::Tensor mix_code_values(const BatchShare& share, const at::Tensor& continuous, const at::Tensor& quantised,
                           const at::Tensor& bypass, double noise_share, CounterRng& rng);

// How far the field's values [B, P] are from the batch's truth, as config.field_loss says.
at::Tensor field_loss(const ShapeTokenizerTrainingConfig& config, const at::Tensor& values,
                      const ShapeBatch& batch);

// The mean over the batch of what has the mean `value` over this rank's samples.
ShapeMeasure measured_mean(const BatchShare& share, std::string name, double value);
// Intersection over union of (logits > 0) and inside over all points given: a quick stand-in for volume IoU.
ShapeMeasure point_iou(const at::Tensor& logits, const at::Tensor& inside);

}  // namespace omni::training
