#pragma once

#include <cstdint>
#include <map>
#include <span>

#include "omni/kernels/tensor.h"

namespace omni::tokenizers {

// How often each code of a vocabulary is used.
class CodeUse {
 public:
  void add(std::span<const std::int32_t> codes);
  void add(const at::Tensor& codes);  // int64, any shape and device
  void clear() { counts_.clear(); }
  // [vocabulary], int64: of each code; and the use that has these counts.
  at::Tensor counts(std::int64_t vocabulary) const;
  static CodeUse of_counts(const at::Tensor& counts);

  double perplexity() const;  // 2^entropy; see omni::perplexity
  std::int64_t used() const { return static_cast<std::int64_t>(counts_.size()); }  // different codes
  // Whether hardly any code of the vocabulary is used, measured by how many the number of codes seen could
  // have used.
  bool collapsed(std::int64_t vocabulary) const;

 private:
  std::map<std::int64_t, std::int64_t> counts_;  // of the codes that were seen
};

}  // namespace omni::tokenizers
