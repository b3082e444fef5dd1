#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "omni/core/config.h"
#include "omni/kernels/decode_format.h"
#include "omni/nn/cast_weights.h"
#include "omni/nn/parameters.h"

namespace omni::nn {

// Low-rank adapters of linear layers (LoRA, Hu et al. 2021, arXiv 2106.09685).
struct LowRankConfig {
  std::int64_t rank = 0;                    // 0: no adapters
  double alpha = 16;                        // an adapter's product is scaled by alpha / rank
  std::vector<std::string> layers = {"*"};  // name patterns, see core/name_pattern.h

  bool operator==(const LowRankConfig&) const = default;
};
void describe(ConfigVisitor& visitor, LowRankConfig& config);
std::string to_text(const LowRankConfig& config);  // in one line

// What is added to a linear layer with a weight [out, in]: alpha / rank x A^T B^T. Matrices that are stacked in one weight
// share A. A starts random and B at zero, so that the layer is at first what it was.
class LowRankAdapter {
 public:
  LowRankAdapter() = default;
  // Parameters <scope>.lora_a [rank, in] and <scope>.lora_b [out, rank], of the rows that the weight stacks (see
  // ParameterTraits).
  LowRankAdapter(const ParameterScope& scope, const at::Tensor& weight,
                 std::vector<std::int64_t> stacked_rows, const LowRankConfig& config);

  bool defined() const { return a_.defined(); }
  std::int64_t elements() const { return defined() ? a_.weight().numel() + b_.weight().numel() : 0; }
  // x [N, in] -> [N, out] in the type of x. A format: of a decoding step on the CPU, see nn::Decoding.
  at::Tensor operator()(const at::Tensor& x, const std::optional<kernels::DecodeFormat>& decoding) const;
  // What the layer's weight becomes with it: [out, in] fp32.
  at::Tensor merged_into(const at::Tensor& weight) const;

  // Whether it is an adapter's.
  static bool owns(const Parameter& parameter);

 private:
  CastWeight a_, b_;
  double scale_ = 0;
};

}  // namespace omni::nn
