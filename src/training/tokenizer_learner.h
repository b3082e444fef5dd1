#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "omni/core/safetensors.h"
#include "omni/kernels/tensor.h"
#include "omni/nn/parameters.h"
#include "omni/nn/quantisers.h"

namespace omni::training {

// What the loop needs of a tokenizer that is being trained.
class TokenizerLearner {
 public:
  virtual ~TokenizerLearner() = default;

  virtual nn::ParameterStore& parameters() = 0;
  // Those that learn, by name.
  virtual std::vector<std::pair<std::string, nn::Quantiser*>> quantisers() = 0;

  // In each step, counted from 0, in this order. Before the first quantised one the codebooks are set;
  // learn_codebooks() follows a quantised step that the optimiser took.
  virtual void begin_step(std::int64_t step) = 0;
  virtual void start_quantisers() = 0;
  virtual at::Tensor loss(bool quantise) = 0;  // a scalar with its gradient
  virtual void learn_codebooks() = 0;

  struct Figures {
    std::vector<std::pair<std::string, double>> numbers;  // for the metrics, "loss" among them
    std::string note;                                     // for the terminal
  };
  // What the steps since the last call measured.
  virtual Figures take_figures(std::int64_t steps_done) = 0;

  // What a resumed run needs beside parameters, moments and codebooks.
  virtual std::map<std::string, std::uint64_t> position() const { return {}; }
  virtual void move_to(const std::map<std::string, std::uint64_t>&) {}

  virtual void save(const std::filesystem::path& folder) const = 0;
};

}  // namespace omni::training
