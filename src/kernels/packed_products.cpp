#include "omni/kernels/packed_products.h"

#include <ATen/core/grad_mode.h>

#include <limits>

#include "omni/core/error.h"
#include "omni/core/system_info.h"

namespace omni::kernels {
namespace {

using at::Tensor;

constexpr std::int64_t kLane = 32;  // outputs that lie side by side in a panel

// [outputs, inputs] bf16. Pairs of bf16 inputs are moved as the whole words that they are in a panel.
Tensor bf16_matrix(const DecodeWeight& weight) {
  if (weight.format() != DecodeFormat::bf16) return weight.unpacked().to(at::kBFloat16);
  const Tensor words = weight.panels().panels.view(at::kInt);  // [blocks, steps, 32]
  return at::empty({words.size(0), kLane, words.size(1)}, at::kInt)
      .copy_(words.transpose(1, 2))
      .view({words.size(0) * kLane, words.size(1)})
      .view(at::kBFloat16)
      .narrow(0, 0, weight.outputs())
      .narrow(1, 0, weight.inputs());
}

}  // namespace

Tensor packed_products(const Tensor& x, const DecodeWeight& weight, const Tensor& bias) {
  const c10::NoGradGuard no_gradient;
  ensure(weight.defined() && x.dim() == 2 && x.size(1) == weight.inputs(), "packed_products: rows ",
         x.sizes(), " do not fit a weight of ", weight.inputs(), " inputs");
  const Tensor products = at::mm(x.to(at::kBFloat16), bf16_matrix(weight).t()).to(x.scalar_type());
  return bias.defined() ? products + bias.detach().to(x.scalar_type()) : products;
}

std::int64_t rows_for_products(DecodeFormat format) {
  static const bool tiles = detect_cpu_features().amx_bf16;
  constexpr std::int64_t kMany = 256;
  return tiles && format == DecodeFormat::bf16 ? kMany : std::numeric_limits<std::int64_t>::max();
}

}  // namespace omni::kernels
