#pragma once

#include <string>
#include <utility>
#include <vector>

#include "omni/nn/parameters.h"

namespace omni::optimizer {

// An exponential moving average of the trainable parameters.
class ParameterAverage {
 public:
  ParameterAverage(const nn::ParameterStore& parameters, double decay);
  void update(const nn::ParameterStore& parameters);
  // Exchanges the averages with the parameters' values; calling it twice restores both.
  void swap(nn::ParameterStore& parameters);
  std::vector<std::pair<std::string, at::Tensor>> state() const;  // "<parameter>.average"
  void load_state(const SafetensorsFile& file);

 private:
  double decay_;
  std::vector<std::pair<std::string, at::Tensor>> averages_;
};

}  // namespace omni::optimizer
