#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "omni/core/config.h"
#include "omni/nn/parameters.h"

namespace omni::optimizer {

// AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101).
struct AdamWConfig {
  double beta1 = 0.9, beta2 = 0.95;
  double epsilon = 1e-8;
  double weight_decay = 0.1;      // on matrices; never on vectors (norm scales, biases)
  bool decay_embeddings = false;  // also on tables whose name holds "embedding"
};
void describe(ConfigVisitor& visitor, AdamWConfig& config);

// Optimises the trainable parameters of one store, which must outlive it, but for those that `left_out` names
// (all are taken where it is empty). Moments are fp32 beside each parameter.
class AdamW {
 public:
  AdamW(nn::ParameterStore& parameters, const AdamWConfig& config,
        const std::function<bool(const nn::Parameter&)>& left_out = {});

  // One update from the gradients. A parameter without gradient counts as one whose gradient is zero.
  void step(double learning_rate);
  void zero_gradients();
  std::int64_t steps_taken() const { return steps_; }

  // From now on only the rows [first, first + count) of each named matrix are updated and every other
  // parameter stays as it is, bit for bit (stage 2: new vocabulary rows alone). An empty map lifts the
  // restriction.
  struct Rows {
    std::int64_t first = 0, count = 0;
  };
  void restrict_to_rows(std::map<std::string, Rows> rows);

  // Moments and step count as named tensors, for checkpoints: "<parameter>.first_moment",
  // "<parameter>.second_moment", and "optimizer.steps" (int64 [1]). load_state throws Error(input) where one
  // is missing or has another shape. Parameters that grew keep the moments of their old rows; new rows start
  // from zero.
  std::vector<std::pair<std::string, at::Tensor>> state() const;
  void load_state(const SafetensorsFile& file);

 private:
  struct Slot {
    std::string name;
    at::Tensor value, first_moment, second_moment;
    bool decayed = false;
  };
  void step_rows(double learning_rate);

  AdamWConfig config_;
  std::vector<Slot> slots_;
  std::map<std::string, Rows> rows_;
  std::int64_t steps_ = 0;
};

// The Euclidean norm of all gradients together.
double gradient_norm(const nn::ParameterStore& parameters);
// Scales all gradients so that their norm is at most `maximum_norm`; returns the norm before. A norm that is
// not finite leaves the gradients alone: the caller skips the step.
double clip_gradients(nn::ParameterStore& parameters, double maximum_norm);

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
