#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "omni/model/batch_capacity.h"
#include "omni/sequence/grammar.h"

namespace omni::model {

struct PrepareOptions {
  bool full_softmax = false;    // compete with every token of the vocabulary, not with the allowed ones alone
  std::int64_t task_count = 0;  // documents' tasks are numbers below it
  // Not null: batches that have room in it are laid out in it, and have all the same shape.
  std::shared_ptr<const BatchCapacity> capacity;
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
  // Whether it is laid out in the capacity that the options asked for.
  bool fills_capacity() const;
  // Whether all arrays have the same sizes and places, and mean the same.
  bool has_shape_of(const PreparedBatch& other) const;

  struct Arrays;  // src/model/prepared_arrays.h
  PreparedBatch(BatchCounts counts, std::shared_ptr<const Arrays> arrays);
  const Arrays& arrays() const { return *arrays_; }
  const std::shared_ptr<const Arrays>& shared_arrays() const { return arrays_; }

 private:
  BatchCounts counts_;
  std::shared_ptr<const Arrays> arrays_;
};

}  // namespace omni::model
