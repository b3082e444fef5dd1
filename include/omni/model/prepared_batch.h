#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "omni/sequence/grammar.h"

namespace omni::model {

struct PrepareOptions {
  bool full_softmax = false;    // compete with every token of the vocabulary, not with the allowed ones alone
  std::int64_t task_count = 0;  // documents' tasks are numbers below it
};

// What is known of packed sequences without computing anything. Exact.
struct BatchCounts {
  std::int64_t tokens = 0;  // padding does not count
  // By target modality (index: sequence::Modality).
  std::array<double, sequence::kModalityCount> weights{};        // sum of loss weights
  std::array<std::int64_t, sequence::kModalityCount> targets{};  // positions with a positive weight
  std::vector<double> task_weights;                              // sum of loss weights by task
  std::vector<std::int64_t> task_tokens;                         // of the documents of each task

  void add(const BatchCounts& other);
};

// All of a packed sequence that the loss needs and that depends on nothing else, in one block of memory (one
// that a GPU can copy from while the processor goes on). Made by Transformer::prepare.
class PreparedBatch {
 public:
  PreparedBatch(PreparedBatch&&) noexcept;
  PreparedBatch& operator=(PreparedBatch&&) noexcept;
  ~PreparedBatch();

  const BatchCounts& counts() const { return counts_; }
  std::int64_t bytes() const;  // of that memory

  struct Arrays;  // src/model/prepared_arrays.h
  PreparedBatch(BatchCounts counts, std::unique_ptr<const Arrays> arrays);
  const Arrays& arrays() const { return *arrays_; }

 private:
  BatchCounts counts_;
  std::unique_ptr<const Arrays> arrays_;
};

}  // namespace omni::model
