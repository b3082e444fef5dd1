#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "full_sharding.h"
#include "omni/distributed/collectives.h"
#include "omni/model/transformer.h"
#include "stage_data.h"

namespace omni::training {

struct ValidationLosses {
  using Named = std::vector<std::pair<std::string, double>>;
  double loss = 0;  // over modalities, weighted as in training
  Named modalities, tasks;

  // As in a step's metrics with a prefix, such as "validation_": <prefix>loss_shape, <prefix>loss text->shape.
  Named numbers(const std::string& prefix) const;
};

// The losses of a stage on what it is not trained on. The sequences are always the same, so what changes is the
// model.
class StageValidation {
 public:
  // Of the first `batches` of a source of the data, which must outlive it.
  StageValidation(const StageData& data, const data::BatchSource& source, std::int64_t batches,
                  const std::array<double, sequence::kModalityCount>& modality_weights)
      : data_(data), source_(source), batches_(batches), modality_weights_(modality_weights) {}

  // Of the present weights, without dropout. Every rank measures its part of the sequences and gets the losses of
  // all. `sharding`: of a transformer that is fully sharded.
  ValidationLosses measure(const model::Transformer& transformer, distributed::Collectives& collectives,
                           at::Device device, FullSharding* sharding = nullptr) const;

 private:
  const StageData& data_;
  const data::BatchSource& source_;
  std::int64_t batches_;
  std::array<double, sequence::kModalityCount> modality_weights_;
};

}  // namespace omni::training
