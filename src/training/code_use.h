// How often each code of a vocabulary is used.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>

namespace omni::training {

class CodeUse {
 public:
  explicit CodeUse(std::int64_t vocabulary) : counts_(at::zeros({vocabulary}, at::kLong)) {}

  void add(const at::Tensor& indices);
  void clear() { counts_.zero_(); }

  double perplexity() const;  // e^entropy
  double used() const;        // share of the vocabulary
  // Whether hardly any code is used, of those that as many codes as were seen could have used.
  bool collapsed() const;

 private:
  at::Tensor counts_;
};

}  // namespace omni::training
