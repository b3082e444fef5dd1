#pragma once

#include <memory>

#include "omni/model/transformer.h"

namespace omni::model {

// What differs from one forward and backward pass to the next, at places on the device that stay the same: a pass that
// reads it, Transformer::loss(inputs), can be captured once as a graph of its launches and replayed for every batch of
// that shape.
class PassInputs {
 public:
  // For batches of the shape of `like`, on the transformer's device.
  PassInputs(const Transformer& transformer, const PreparedBatch& like);

  bool takes(const PreparedBatch& batch) const;
  // Brings a batch, and of the options the dropout seed and the modalities' weights; the device is not waited for. What
  // was there before may still be read by work that was launched before. Throws Error(usage) for a batch of another shape.
  void write(const PreparedBatch& batch, const LossOptions& options);

  struct OnDevice {
    at::Tensor bytes;             // of the batch's arrays
    at::Tensor modality_weights;  // [3] fp32
    at::Tensor dropout_keys;      // [blocks, 2 streams, 2 places] int64, see nn::Dropout
  };
  const OnDevice& on_device() const { return on_device_; }
  const PreparedBatch::Arrays& arrays() const { return *arrays_; }  // places and sizes, of `like`

 private:
  std::shared_ptr<const PreparedBatch::Arrays> arrays_;
  OnDevice on_device_;
};

}  // namespace omni::model
