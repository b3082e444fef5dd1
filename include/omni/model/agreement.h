#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "omni/kernels/tensor.h"

namespace omni::model {

// How outputs of this implementation agree with those that a reference implementation saved.

struct ValueAgreement {
  std::string name;
  std::int64_t count = 0;
  double tolerance = 1e-4;  // absolute
  // At the place where they differ most; not-a-number differs by infinity.
  double largest = 0, expected = 0, found = 0;
  std::vector<std::int64_t> place;

  bool holds() const { return count > 0 && largest <= tolerance; }
};

struct SequenceAgreement {
  struct Difference {
    std::int64_t row = 0, place = 0, expected = 0, found = 0;
  };
  std::string name;
  std::int64_t count = 0, equal = 0;  // tokens
  std::optional<Difference> first_other;

  bool holds() const { return count > 0 && equal == count; }
};

struct Agreement {
  std::vector<ValueAgreement> values;
  std::vector<SequenceAgreement> sequences;

  // Throws Error(input) where the shapes differ.
  void compare_values(const std::string& name, const at::Tensor& found, const at::Tensor& expected);
  void compare_sequences(const std::string& name, const at::Tensor& found,
                         const at::Tensor& expected);  // [B, N] int64
  // All of them, and there are some.
  bool holds() const;
};

}  // namespace omni::model
