#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "omni/model/transformer.h"

namespace omni::training {

// Sums over micro-batches, of one or more optimizer steps or of a validation. What was computed stays on the device
// until it is read: steps do not wait for it.
struct StepSums {
  model::BatchCounts counts;
  at::Tensor losses;  // see model::LossSums; undefined where there was no batch

  void add(const StepSums& other);
  void add_losses(const at::Tensor& others);

  // All of it as one row of fp64 numbers on the CPU, which ranks can add up: see sum_names(). Waits for the device.
  at::Tensor row(std::size_t tasks) const;
  static StepSums from_row(const at::Tensor& row, std::size_t tasks);
};
// What the numbers of a row are called.
std::vector<std::string> sum_names(const std::vector<std::string>& task_names);

struct MeanLosses {
  struct OfModality {
    double loss, accuracy;
  };
  double loss = 0;  // over modalities, by their weights
  // Nothing where no target was of that kind.
  std::array<std::optional<OfModality>, sequence::kModalityCount> modalities;  // index: sequence::Modality
  std::vector<std::optional<double>> tasks;
};
// Waits for the device.
MeanLosses mean_losses(const StepSums& sums,
                       const std::array<double, sequence::kModalityCount>& modality_weights);

}  // namespace omni::training
