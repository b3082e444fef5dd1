#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "omni/kernels/tensor.h"
#include "omni/kernels/token_sampling.h"

namespace omni::kernels {

// Token sampling of a batch on the GPU, step after step: one launch per step, the same tokens as
// sample_token() on the processor. Settings, keys, seen tokens and results stay on the device; nothing waits
// until check().
class CudaTokenSampler {
 public:
  // One sequence of the batch; see SamplingInput.
  struct Row {
    SamplingSettings settings;
    SamplingKey key;  // of the first draw; the step grows by one with each
    std::vector<double> guidance;
    std::vector<TokenRun> allowed;
    std::vector<std::int32_t> seen;  // the drawn tokens join them
  };

  // Why the GPU cannot sample on that device; empty where it can.
  static std::string refusal(const at::Device& device);

  // Rows have the same number of conditions. Throws Error(usage) for impossible settings.
  CudaTokenSampler(const at::Device& device, std::int64_t vocabulary, std::span<const Row> rows,
                   std::int64_t likely_count = 0);

  // Changes what may be drawn next, one list per row (as Row::allowed).
  void set_allowed(std::span<const std::vector<TokenRun>> allowed);

  // Draws one token per row from logits [conditions + 1, batch, vocabulary] in fp32, bf16 or fp16 on the
  // device, last dimension contiguous. -> [batch] int32 on the device, -1 where there was no token to draw;
  // the same tensor at every step.
  const at::Tensor& sample(const at::Tensor& logits);

  // Of the last step, on the device: [batch] and [batch, likely_count].
  const at::Tensor& log_probabilities() const { return log_probabilities_; }
  const at::Tensor& filtered_log_probabilities() const { return filtered_log_probabilities_; }
  const at::Tensor& likely_tokens() const { return likely_tokens_; }  // -1 beyond the last candidate
  const at::Tensor& likely_log_probabilities() const { return likely_log_probabilities_; }

  // Waits for the last step. Throws Error(internal), naming the row's place, for NaN or +inf among the
  // allowed logits and where no token could be drawn.
  void check(std::span<const std::string> places) const;

 private:
  std::int64_t batch_, vocabulary_, conditions_, likely_count_;
  at::Device device_;
  at::Tensor rows_, guidance_, ranges_, seen_, workspace_;
  at::Tensor tokens_, statuses_, log_probabilities_, filtered_log_probabilities_;
  at::Tensor likely_tokens_, likely_log_probabilities_;
};

}  // namespace omni::kernels
