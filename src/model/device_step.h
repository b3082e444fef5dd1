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
  static std::unique_ptr<DeviceStep> make(const Transformer::Network& network, CachedBlocks& blocks,
                                          const Tensor& token_rows, const DecodePrecision& precision);

  // What is embedded for each row.
  struct Embedded {
    std::span<const std::int64_t> tokens, slots, next_slots;
  };
  // Appends rows, at most one per sequence -> [rows, width] bf16; nothing, and nothing done, for rows that
  // are not the kernels', which is logged once, at debug level, where the caches are the reason.
  std::optional<Tensor> append(const NewRows& rows, const Embedded& embedded);

 private:
  DeviceStep(const Transformer::Network& network, CachedBlocks& blocks, kernels::CudaDecodeNetwork layers);
  bool takes(const NewRows& rows) const;

  const Transformer::Network* network_;
  CachedBlocks* blocks_;
  std::vector<std::vector<double>> frequencies_;  // of each axis
  kernels::CudaDecodeStep step_;
};

}  // namespace omni::model
