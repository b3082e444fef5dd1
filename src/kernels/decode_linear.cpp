#include "omni/kernels/decode_linear.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <atomic>

#include "decode_linear_call.h"
#include "int8_rows.h"
#include "omni/core/error.h"
#include "omni/kernels/matrix_tiles.h"
#include "omni/kernels/profiled_range.h"
#include "short_panels.h"

namespace omni::kernels {
namespace {

using at::Tensor;

constexpr std::int64_t kBytesPerThread = 128 << 10;  // less is read faster than another thread wakes up
constexpr std::int64_t kBytesPerTurn = 64 << 10;     // less is mostly waiting for its first bytes

std::int64_t per_lane(DecodeFormat format) {
  return format == DecodeFormat::fp32 ? 1 : format == DecodeFormat::bf16 ? 2 : 4;
}

at::ScalarType element_type(DecodeFormat format) {
  return format == DecodeFormat::fp32 ? at::kFloat : format == DecodeFormat::bf16 ? at::kBFloat16 : at::kChar;
}

// [outputs, inputs] -> [blocks, steps, 32 * inputs per lane], filled up with zeros.
Tensor panels_of(const Tensor& weight, std::int64_t lane) {
  const std::int64_t outputs = weight.size(0), inputs = weight.size(1);
  const std::int64_t blocks = (outputs + kDecodeBlock - 1) / kDecodeBlock, steps = (inputs + lane - 1) / lane;
  const Tensor full =
      at::constant_pad_nd(weight, {0, steps * lane - inputs, 0, blocks * kDecodeBlock - outputs});
  return full.view({blocks, kDecodeBlock, steps, lane})
      .permute({0, 2, 1, 3})
      .reshape({blocks, steps, kDecodeBlock * lane})
      .contiguous();
}

bool usable(const Tensor& x) {
  return x.device().is_cpu() && x.dim() == 2 &&
         (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16);
}

// Whether its numbers are those of bf16. A few rows at a time: a copy of all would be gigabytes.
bool is_of_bf16(const Tensor& weight) {
  if (weight.scalar_type() == at::kBFloat16) return true;
  constexpr std::int64_t kElements = 1 << 22;
  const std::int64_t rows = std::max<std::int64_t>(1, kElements / std::max<std::int64_t>(1, weight.size(1)));
  for (std::int64_t first = 0; first < weight.size(0); first += rows) {
    const Tensor some = weight.narrow(0, first, std::min(rows, weight.size(0) - first));
    if (!some.equal(some.to(at::kBFloat16).to(at::kFloat))) return false;
  }
  return true;
}

// [blocks * 32, inputs up to a multiple of four] bf16
Tensor expanded_rows(const DecodeWeight& weight) {
  const DecodeLinearCall call = call_of(weight);
  const std::int64_t steps = expanded_steps(call), blocks = weight.panels().panels.size(0);
  const Tensor panels = at::empty({blocks, steps, kDecodeBlock, 2}, at::kBFloat16);
  auto* lanes = static_cast<float*>(panels.mutable_data_ptr());
  for (std::int64_t block = 0; block < blocks; ++block)
    decode_linear_kernels().expand(call, block, lanes + block * steps * kDecodeBlock);
  return panels.permute({0, 2, 1, 3}).reshape({blocks * kDecodeBlock, 2 * steps});
}

}  // namespace

DecodePanels panel_shapes(std::int64_t outputs, std::int64_t inputs, DecodeFormat format) {
  const std::int64_t lane = per_lane(format), blocks = (outputs + kDecodeBlock - 1) / kDecodeBlock,
                     steps = (inputs + lane - 1) / lane;
  const auto shape = [](at::IntArrayRef sizes, at::ScalarType type) {
    return at::empty(sizes, at::TensorOptions(type).device(at::kMeta));
  };
  DecodePanels panels;
  panels.panels = shape({blocks, steps, kDecodeBlock * lane}, element_type(format));
  if (format != DecodeFormat::int8) return panels;
  panels.scales = shape({blocks * kDecodeBlock}, at::kFloat);
  panels.sums = shape({blocks * kDecodeBlock}, at::kInt);
  return panels;
}

bool are_panels_of(const DecodePanels& panels, std::int64_t outputs, std::int64_t inputs,
                   DecodeFormat format) {
  if (panels.tables.defined())
    return format != DecodeFormat::int8 &&
           are_short_panels(panels, (outputs + kDecodeBlock - 1) / kDecodeBlock, inputs);
  const DecodePanels shapes = panel_shapes(outputs, inputs, format);
  const auto fits = [](const Tensor& own, const Tensor& like) {
    if (!own.defined() || !like.defined()) return own.defined() == like.defined();
    return own.sizes() == like.sizes() && own.scalar_type() == like.scalar_type() && own.is_contiguous() &&
           own.device().is_cpu();
  };
  return fits(panels.panels, shapes.panels) && fits(panels.scales, shapes.scales) &&
         fits(panels.sums, shapes.sums);
}

DecodeWeight::DecodeWeight(DecodePanels panels, std::int64_t outputs, std::int64_t inputs,
                           DecodeFormat format)
    : format_(format), outputs_(outputs), inputs_(inputs), panels_(std::move(panels)) {
  ensure(are_panels_of(panels_, outputs, inputs, format), "panels that are not those of a weight [", outputs,
         ", ", inputs, "]");
}

DecodeWeight::DecodeWeight(const Tensor& weight, DecodeFormat format) : format_(format) {
  const c10::NoGradGuard guard;
  if (!usable(weight) || weight.numel() == 0)
    fail(ErrorKind::usage, "packing a weight for decoding: it is ", weight.sizes(), " of ",
         weight.scalar_type(), ". Pass a matrix of fp32 or bf16 on the CPU");
  outputs_ = weight.size(0);
  inputs_ = weight.size(1);
  if (format != DecodeFormat::int8) {
    panels_.panels = panels_of(weight.detach().to(element_type(format)), per_lane(format));
    return;
  }
  const Int8Rows rows = int8_rows(weight);
  panels_.panels = panels_of(rows.values, per_lane(format));
  const std::int64_t missing = panels_.panels.size(0) * kDecodeBlock - outputs_;
  panels_.scales = at::constant_pad_nd(rows.scales, {0, missing});
  panels_.sums = at::constant_pad_nd(rows.sums, {0, missing});
}

DecodeWeight DecodeWeight::shortest(const Tensor& weight, DecodeFormat format) {
  const c10::NoGradGuard guard;
  if (format == DecodeFormat::int8 || !usable(weight) ||
      (format == DecodeFormat::fp32 && !is_of_bf16(weight)))
    return {weight, format};
  DecodeWeight made(weight, DecodeFormat::bf16);
  if (auto panels = shortened(made.panels_.panels)) {
    made.panels_ = std::move(*panels);
    made.format_ = format;
    return made;
  }
  return format == DecodeFormat::bf16 ? made : DecodeWeight(weight, format);
}

Tensor DecodeWeight::unpacked() const {
  ensure(defined(), "a decode weight that was never packed");
  if (in_twelve_bits()) {
    const Tensor rows = expanded_rows(*this);
    return rows.narrow(0, 0, outputs_).narrow(1, 0, inputs_).to(at::kFloat);
  }
  const std::int64_t lane = per_lane(format_), blocks = panels_.panels.size(0),
                     steps = panels_.panels.size(1);
  const Tensor weight = panels_.panels.view({blocks, steps, kDecodeBlock, lane})
                            .permute({0, 2, 1, 3})
                            .reshape({blocks * kDecodeBlock, steps * lane})
                            .narrow(0, 0, outputs_)
                            .narrow(1, 0, inputs_)
                            .to(at::kFloat);
  return panels_.scales.defined() ? weight * panels_.scales.narrow(0, 0, outputs_).unsqueeze(1) : weight;
}

DecodeLinearCall call_of(const DecodeWeight& weight) {
  const DecodePanels& panels = weight.panels();
  DecodeLinearCall call;
  call.format = weight.format();
  call.inputs = weight.inputs();
  call.last_output = weight.outputs();
  call.steps = panels.panels.size(1);
  if (weight.in_twelve_bits()) {
    call.short_panels = view_of(panels);
    call.steps *= weight.format() == DecodeFormat::bf16 ? 2 : 4;
  } else {
    call.panels = static_cast<const float*>(panels.panels.const_data_ptr());
  }
  if (panels.scales.defined()) {
    call.scales = panels.scales.const_data_ptr<float>();
    call.sums = panels.sums.const_data_ptr<std::int32_t>();
  }
  return call;
}

void set_rows(DecodeLinearCall& call, std::int64_t rows, bool bf16) {
  call.rows = rows;
  call.bf16 = bf16;
  call.tile_lanes = has_matrix_tiles() && rows > 0 ? tile_lanes_of(call) : 0;
  call.pieces = call.tile_lanes > 0 ? tile_pieces_of(call) : 1;
}

std::int64_t lane_count(const DecodeLinearCall& call) {
  return call.rows * lanes_per_row(call) * (call.tile_lanes > 0 ? call.tile_lanes : call.steps);
}

BlockTurns::BlockTurns(const DecodeLinearCall& call, std::int64_t threads)
    : first_(call.first_output / kDecodeBlock),
      count_((call.last_output + kDecodeBlock - 1) / kDecodeBlock - first_),
      shares_(2 * threads) {
  const std::int64_t block_bytes = call.steps * kDecodeBlock * 4;
  per_thread_ = std::max<std::int64_t>(1, kBytesPerThread / block_bytes);
  fewest_ = std::max<std::int64_t>(1, kBytesPerTurn / block_bytes);
}

std::int64_t BlockTurns::most_threads() const { return (count_ + per_thread_ - 1) / per_thread_; }

Tensor decode_linear(const Tensor& x, const DecodeWeight& weight, const Tensor& bias) {
  return decode_linear(x, weight, bias, {0, weight.outputs()});
}

Tensor decode_linear(const Tensor& x, const DecodeWeight& weight, const Tensor& bias,
                     const RowRange& outputs) {
  const c10::NoGradGuard no_gradient;
  ensure(weight.defined() && usable(x) && x.size(1) == weight.inputs(), "decode_linear: rows ", x.sizes(),
         " of ", x.scalar_type(), " do not fit a weight of ", weight.inputs(), " inputs");
  ensure(0 <= outputs.first && outputs.first <= outputs.last && outputs.last <= weight.outputs(),
         "decode_linear: outputs ", outputs.first, " to ", outputs.last, " of ", weight.outputs());
  ensure(!bias.defined() || bias.numel() == weight.outputs(), "decode_linear: the bias has the wrong length");
  const ProfiledRange profiled("omni::decode_linear");
  const Tensor own = x.contiguous();
  const std::int64_t wanted = outputs.last - outputs.first;
  const Tensor shift = bias.defined() ? bias.detach().to(at::kFloat).contiguous() : Tensor();
  Tensor y = at::empty({x.size(0), wanted}, x.options());
  DecodeLinearCall call = call_of(weight);
  call.first_output = outputs.first;
  call.last_output = outputs.last;
  set_rows(call, x.size(0), x.scalar_type() == at::kBFloat16);
  const Tensor lanes = at::empty({lane_count(call)}, at::kFloat);
  const Tensor row_scales =
      weight.format() == DecodeFormat::int8 ? at::empty({call.rows}, at::kFloat) : Tensor();
  call.x = own.const_data_ptr();
  call.lanes = lanes.mutable_data_ptr<float>();
  call.bias = shift.defined() ? shift.const_data_ptr<float>() + outputs.first : nullptr;
  if (row_scales.defined()) call.row_scales = row_scales.mutable_data_ptr<float>();
  call.y = y.mutable_data_ptr();
  const DecodeLinearKernels kernels = decode_linear_kernels();
  kernels.prepare(call, 0, call.rows);
  const std::int64_t all_threads = at::in_parallel_region() ? 1 : at::get_num_threads();
  const BlockTurns turns(call, all_threads);
  std::atomic<std::int64_t> next{0};
  at::parallel_for(0, std::min(all_threads, turns.most_threads()), 1, [&](std::int64_t, std::int64_t) {
    turns.take(next, [&](std::int64_t first, std::int64_t last) { kernels.multiply(call, first, last); });
  });
  return y;
}

}  // namespace omni::kernels
