#include "omni/kernels/packed_products.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <limits>

#include "cpu/tile_products.h"
#include "decode_linear_call.h"
#include "omni/core/error.h"
#include "omni/kernels/matrix_tiles.h"
#include "omni/kernels/profiled_range.h"

namespace omni::kernels {
namespace {

using at::Tensor;

// Of inputs, so that products are as exact as decode_linear()'s.
int pieces_of(const DecodeWeight& weight) {
  return weight.format() == DecodeFormat::bf16 ? 1 : weight.format() == DecodeFormat::int8 ? 2 : 3;
}

}  // namespace

Tensor packed_products(const Tensor& x, const DecodeWeight& weight, const Tensor& bias) {
  const c10::NoGradGuard no_gradient;
  ensure(weight.defined() && x.dim() == 2 && x.size(1) == weight.inputs(), "packed_products: rows ",
         x.sizes(), " do not fit a weight of ", weight.inputs(), " inputs");
  if (!fits_tiles(call_of(weight))) return decode_linear(x, weight, bias);
  const ProfiledRange profiled("omni::packed_products");
  const Tensor own = x.contiguous();
  const Tensor shift = bias.defined() ? bias.detach().to(at::kFloat).contiguous() : Tensor();
  Tensor y = at::empty({x.size(0), weight.outputs()}, x.options());
  TileProducts call;
  call.weight = call_of(weight);
  call.weight.bf16 = x.scalar_type() == at::kBFloat16;
  call.weight.rows = x.size(0);
  call.weight.x = own.const_data_ptr();
  call.weight.bias = shift.defined() ? shift.const_data_ptr<float>() : nullptr;
  call.weight.y = y.mutable_data_ptr();
  call.pieces = pieces_of(weight);
  const Tensor tiles = at::empty({call.groups() * call.group_words()}, at::kBFloat16);
  call.tiles = static_cast<std::uint16_t*>(tiles.mutable_data_ptr());
  const TileProductKernels kernels = tile_product_kernels(has_matrix_tiles());
  at::parallel_for(0, call.groups(), 1,
                   [&](std::int64_t first, std::int64_t last) { kernels.lay(call, first, last); });
  const std::int64_t blocks = (weight.outputs() + kDecodeBlock - 1) / kDecodeBlock;
  at::parallel_for(0, blocks, 1,
                   [&](std::int64_t first, std::int64_t last) { kernels.multiply(call, first, last); });
  return y;
}

std::int64_t rows_for_products() {
  constexpr std::int64_t kMany = 128;
  return has_matrix_tiles() ? kMany : std::numeric_limits<std::int64_t>::max();
}

}  // namespace omni::kernels
