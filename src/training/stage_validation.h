#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "omni/distributed/collectives.h"
#include "omni/model/transformer.h"
#include "stage_data.h"

namespace omni::training {

struct ValidationLosses {
  double loss = 0;  // over modalities, weighted as in training
  // The loss of each modality and each task, named as in a step's metrics with "validation_" before them.
  std::vector<std::pair<std::string, double>> numbers;
};

// The losses of a stage on objects that it is not trained on. The sequences are always the same, so what changes
// is the model.
class StageValidation {
 public:
  // Of the first `batches` of the data's validation, which must outlive it.
  StageValidation(const StageData& data, std::int64_t batches,
                  const std::array<double, sequence::kModalityCount>& modality_weights)
      : data_(data), batches_(batches), modality_weights_(modality_weights) {}

  // Of the present weights, without dropout. Every rank measures its part of the sequences and gets the losses of
  // all.
  ValidationLosses measure(const model::Transformer& transformer, distributed::Collectives& collectives,
                           at::Device device) const;

 private:
  const StageData& data_;
  std::int64_t batches_;
  std::array<double, sequence::kModalityCount> modality_weights_;
};

}  // namespace omni::training
