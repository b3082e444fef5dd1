#pragma once

#include <cstdint>

#include "omni/kernels/decode_format.h"
#include "omni/kernels/row_range.h"
#include "omni/kernels/tensor.h"

namespace omni::kernels {

// The memory of a DecodeWeight. panels [blocks, steps, 32 lanes of 32 bits], in elements of the format: one fp32,
// two bf16 or four int8 inputs to a lane; of int8 weights scales and sums [blocks * 32], fp32 and int32.
// In twelve bits a number: panels [blocks, units of four inputs, 192] bytes, tables [blocks, 16] bytes, starts
// [blocks + 1] and exceptions [count, 2] int32, the last three followed by zeros up to a multiple of 64 bytes.
struct DecodePanels {
  at::Tensor panels, scales, sums;
  at::Tensor tables, starts, exceptions;
};
// Their shapes and types, without memory (LibTorch's device "meta"); not those of twelve bits, which depend on values.
DecodePanels panel_shapes(std::int64_t outputs, std::int64_t inputs, DecodeFormat format);
// Whether they are those of such a weight, places in them within it.
bool are_panels_of(const DecodePanels& panels, std::int64_t outputs, std::int64_t inputs,
                   DecodeFormat format);

// A weight laid out for products with few rows, which read it once from end to end: made once, then constant.
// On the CPU; does not refer to the weight it was made from.
class DecodeWeight {
 public:
  DecodeWeight() = default;
  // weight [outputs, inputs] fp32 or bf16, on the CPU. Throws Error(usage) for another type and for values
  // that are not finite.
  DecodeWeight(const at::Tensor& weight, DecodeFormat format);
  // Of panels that were made before, such as mapped ones, which are kept as they are. Throws Error(internal)
  // where they are not those of such a weight.
  DecodeWeight(DecodePanels panels, std::int64_t outputs, std::int64_t inputs, DecodeFormat format);
  // In twelve bits a number, without loss, where every number is one of bf16, as many published ones are, and their
  // upper bytes are few; else as above. Products are the same bit for bit, in fp32 as well. Takes longer to make, and
  // less time to read from memory: for weights that the caches do not hold.
  static DecodeWeight shortest(const at::Tensor& weight, DecodeFormat format);

  bool defined() const { return panels_.panels.defined(); }
  std::int64_t outputs() const { return outputs_; }
  std::int64_t inputs() const { return inputs_; }
  DecodeFormat format() const { return format_; }
  bool in_twelve_bits() const { return panels_.tables.defined(); }
  std::int64_t bytes() const {
    return static_cast<std::int64_t>(panels_.panels.nbytes());
  }  // read per product
  const DecodePanels& panels() const { return panels_; }
  // [outputs, inputs] fp32: what the products use.
  at::Tensor unpacked() const;

 private:
  DecodeFormat format_ = DecodeFormat::fp32;
  std::int64_t outputs_ = 0, inputs_ = 0;
  DecodePanels panels_;
};

// x weight^T + bias without gradients. x [rows, inputs] fp32 or bf16 (rounded to bf16 for a bf16 weight), on
// the CPU; bias [outputs] or undefined. -> [rows, outputs] in the type of x. Made for one to eight rows,
// where the time is that of reading the weight; right for any number, and each row's result is the same
// whatever other rows there are and however many threads.
at::Tensor decode_linear(const at::Tensor& x, const DecodeWeight& weight, const at::Tensor& bias);
// The same for some of the outputs: -> [rows, outputs.last - outputs.first]. Each is what the call above
// gives.
at::Tensor decode_linear(const at::Tensor& x, const DecodeWeight& weight, const at::Tensor& bias,
                         const RowRange& outputs);

}  // namespace omni::kernels
