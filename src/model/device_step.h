#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "cached_blocks.h"
#include "omni/kernels/cuda_decode_step.h"

namespace omni::model {

// Steps of one token per sequence on a GPU, by the plug-in's kernels alone, over the caches of `blocks`.
// Rows of one stream that has output: the generated one, or the only one. Weights are the layers' bf16 copies,
// also where the session wants them in int8: rows go through the layers when those beside them do, and are to
// meet the same weights there.
class DeviceStep {
 public:
  // Nothing where the GPU's kernels cannot run the network, which is logged once, at debug level. All must
  // outlive the step.
  // token_rows and head_rows [vocabulary, width], with the codebooks' share; fp32, and bf16 wherever the
  // session can have steps (activations in bf16, weights not wanted in fp32).
  static std::unique_ptr<DeviceStep> make(const Transformer::Network& network, CachedBlocks& blocks,
                                          const Tensor& token_rows, const Tensor& head_rows,
                                          const DecodePrecision& precision);

  // What is embedded for each row.
  struct Embedded {
    std::span<const std::int64_t> tokens, slots, next_slots;
  };
  // Appends rows, at most one per sequence -> [rows, width] bf16; nothing, and nothing done, for rows that
  // are not the kernels', which is logged once, at debug level, where the caches are the reason.
  std::optional<Tensor> append(const NewRows& rows, const Embedded& embedded);

  // A step of a stretch: what is embedded for its rows, and what is drawn afterwards (see CudaDrawingStep).
  struct Drawing {
    NewRows rows;
    std::vector<std::int64_t> tokens, slots, next_slots;
    std::vector<kernels::CudaDecodeDraw> draws;
  };
  // Appends a row per sequence and step, those of later steps with the tokens that were drawn -> what each step
  // drew; nothing, and nothing done, as append().
  std::optional<std::vector<std::vector<kernels::DrawnToken>>> draw(std::span<const Drawing> steps);
  // What append() would have given of the last step of so many rows.
  Tensor hidden(std::int64_t rows) const { return step_.hidden(rows); }

  // hidden [n, width], n at most the sequences -> logits of the allowed tokens [n, allowed.count()] fp32 on the GPU.
  Tensor logits(const Tensor& hidden, const sequence::AllowedTokens& allowed);

 private:
  DeviceStep(const Transformer::Network& network, CachedBlocks& blocks, kernels::CudaDecodeNetwork layers);
  bool takes(const NewRows& rows) const;
  // The rows `ahead` steps after the next one; nothing where the caches cannot be read.
  std::optional<std::vector<kernels::CudaDecodeStepRow>> step_rows(const NewRows& rows,
                                                                   const Embedded& embedded,
                                                                   std::int64_t ahead) const;
  void turn(const NewRows& rows, std::size_t row, kernels::CudaDecodeStepRow& step) const;

  const Transformer::Network* network_;
  CachedBlocks* blocks_;
  std::vector<std::vector<double>> frequencies_;  // of each axis
  kernels::CudaDecodeStep step_;
};

}  // namespace omni::model
