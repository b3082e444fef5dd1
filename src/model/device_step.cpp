#include "device_step.h"

#include <algorithm>
#include <cmath>
#include <mutex>

#include "omni/core/error.h"
#include "omni/core/log.h"
#include "omni/kernels/cuda_plugin.h"
#include "omni/nn/rotary.h"
#include "stream_blocks.h"

namespace omni::model {
namespace {

using kernels::CudaDecodeMatrix;

void say_once(std::once_flag& said, const std::string& refusal) {
  std::call_once(said, [&] { log_debug("steps on a GPU run layer by layer, because ", refusal); });
}

// The copies in bf16 that the layers multiply on a GPU, whatever the session's precision: a row gets the same
// weights whether those beside it let it take the step or the layers. No other copies are made.
kernels::CudaDecodeLayer layer_of(const nn::StreamLayers& layers) {
  const auto matrix = [&](const nn::CastLinear& linear) {
    return kernels::cuda_decode_matrix(linear.weight.weight(), linear.weight.as(at::kBFloat16), linear.bias,
                                       kernels::DecodeFormat::bf16);
  };
  kernels::CudaDecodeLayer layer;
  const auto plain = [](const Tensor& weight) { return weight.defined() ? weight.detach() : Tensor(); };
  layer.attention_norm = plain(layers.attention_norm);
  layer.mlp_norm = plain(layers.mlp_norm);
  layer.query_norm = plain(layers.query_norm);
  layer.key_norm = plain(layers.key_norm);
  layer.qkv = matrix(layers.qkv);
  layer.attention_out = matrix(layers.attention_out);
  layer.gate_up = matrix(layers.gate_up);
  layer.down = matrix(layers.down);
  return layer;
}

std::vector<const nn::StreamLayers*> generated_blocks(const Transformer::Network& network) {
  return stream_blocks(network, network.config.streams == 2 ? 1 : 0);
}

std::string precision_refusal(const Transformer::Network& network, const DecodePrecision& precision) {
  if (network.type != at::kBFloat16) return "activations are not in bf16";
  if (precision.weights == kernels::DecodeFormat::fp32) return "weights are wanted in fp32";
  if (precision.cache == kernels::CacheType::fp32) return "the cache is in fp32";
  if (have_adapters(generated_blocks(network))) return "there are adapters";
  return {};
}

}  // namespace

std::unique_ptr<DeviceStep> DeviceStep::make(const Transformer::Network& network, CachedBlocks& blocks,
                                             const Tensor& token_rows, const Tensor& head_rows,
                                             const DecodePrecision& precision) {
  if (!network.embedding.is_cuda()) return nullptr;
  std::string refusal = blocks.sequence_count() > kernels::CudaDecodeStep::kMostRows
                            ? concat("there are more than ", kernels::CudaDecodeStep::kMostRows, " sequences")
                            : precision_refusal(network, precision);
  kernels::CudaDecodeNetwork plan;
  if (refusal.empty()) {
    static_cast<kernels::DecodeSizes&>(plan) = decode_sizes(network.config);
    for (const nn::StreamLayers* block : generated_blocks(network)) {
      const std::size_t i = plan.layers.size();
      plan.layers.push_back(layer_of(*block));
      plan.layers.back().cache = &blocks.cache(i);
      plan.layers.back().second_place = blocks.holds_generated_rows(i);
    }
    plan.token_rows = token_rows.detach().contiguous();
    if (network.slots.defined()) {
      plan.slot_rows = network.slots.detach();
      plan.next_slot_rows = network.next_slots.detach();
    }
    if (network.final_norm.defined()) plan.final_norm = network.final_norm.detach();
    plan.head.weight = head_rows.detach().contiguous();
    refusal = kernels::CudaDecodeStep::refusal(plan);
  }
  if (!refusal.empty()) {
    static std::once_flag said;
    say_once(said, refusal);
    return nullptr;
  }
  return std::unique_ptr<DeviceStep>(new DeviceStep(network, blocks, std::move(plan)));
}

DeviceStep::DeviceStep(const Transformer::Network& network, CachedBlocks& blocks,
                       kernels::CudaDecodeNetwork layers)
    : network_(&network), blocks_(&blocks), step_(std::move(layers)) {
  for (const std::int64_t axis : network.config.rotary_axes())
    frequencies_.push_back(nn::rotary_frequencies(axis, network.config.rope_theta));
}

bool DeviceStep::takes(const NewRows& rows) const {
  const std::size_t count = rows.sequences.size();
  if (count == 0 || count > static_cast<std::size_t>(kernels::CudaDecodeStep::kMostRows)) return false;
  for (std::size_t i = 1; i < count; ++i)
    if (rows.sequences[i] == rows.sequences[i - 1]) return false;
  const bool two_streams = network_->config.streams == 2;
  return !two_streams || std::all_of(rows.streams.begin(), rows.streams.end(), [](auto s) { return s == 1; });
}

// Rows that stand at one place turn alike.
void DeviceStep::turn(const NewRows& rows, std::size_t row, kernels::CudaDecodeStepRow& step) const {
  const std::int32_t coordinates[] = {rows.offsets[row], rows.rows[row], rows.columns[row]};
  for (std::size_t axis = 0; axis < frequencies_.size(); ++axis)
    for (const double frequency : frequencies_[axis]) {
      const double angle = coordinates[axis] * frequency;
      step.cosine.push_back(static_cast<float>(std::cos(angle)));
      step.sine.push_back(static_cast<float>(std::sin(angle)));
    }
}

std::optional<std::vector<kernels::CudaDecodeStepRow>> DeviceStep::step_rows(const NewRows& rows,
                                                                             const Embedded& embedded,
                                                                             std::int64_t ahead) const {
  const std::int64_t heads_per_key = network_->config.heads / network_->config.stored_heads();
  const auto places = blocks_->step_places(rows.sequences, heads_per_key, ahead);
  if (!places) {
    static std::once_flag said;
    say_once(said, "a prefix is held by several sequences");
    return std::nullopt;
  }
  std::vector<kernels::CudaDecodeStepRow> step(rows.sequences.size());
  for (std::size_t i = 0; i < step.size(); ++i) {
    kernels::CudaDecodeStepRow& row = step[i];
    row.token = static_cast<std::int32_t>(embedded.tokens[i]);
    row.slot = static_cast<std::int32_t>(embedded.slots[i]);
    row.next_slot = static_cast<std::int32_t>(embedded.next_slots[i]);
    row.first = places->all[i];
    row.second = places->generated[i];
    if (i > 0 && rows.offsets[i] == rows.offsets[i - 1] && rows.rows[i] == rows.rows[i - 1] &&
        rows.columns[i] == rows.columns[i - 1]) {
      row.cosine = step[i - 1].cosine;
      row.sine = step[i - 1].sine;
    } else {
      turn(rows, i, row);
    }
  }
  return step;
}

std::optional<Tensor> DeviceStep::append(const NewRows& rows, const Embedded& embedded) {
  if (!takes(rows)) return std::nullopt;
  const auto step = step_rows(rows, embedded, 0);
  if (!step) return std::nullopt;
  const Tensor hidden = step_.run(*step);
  blocks_->count_steps(rows.sequences, 1);
  return hidden;
}

std::optional<std::vector<std::vector<kernels::DrawnToken>>> DeviceStep::draw(
    std::span<const Drawing> steps) {
  std::vector<kernels::CudaDrawingStep> stretch;
  for (const Drawing& drawing : steps) {
    const auto ahead = static_cast<std::int64_t>(stretch.size());
    if (!takes(drawing.rows)) return std::nullopt;
    auto rows = step_rows(drawing.rows, {drawing.tokens, drawing.slots, drawing.next_slots}, ahead);
    if (!rows) return std::nullopt;
    if (ahead > 0)
      for (kernels::CudaDecodeStepRow& row : *rows) row.token = kernels::CudaDecodeStepRow::kDrawn;
    stretch.push_back({std::move(*rows), drawing.draws});
  }
  auto drawn = step_.draw(stretch);
  blocks_->count_steps(steps.front().rows.sequences, static_cast<std::int64_t>(steps.size()));
  return drawn;
}

Tensor DeviceStep::logits(const Tensor& hidden, const sequence::AllowedTokens& allowed) {
  const std::span runs = std::span(allowed.runs).first(static_cast<std::size_t>(allowed.run_count));
  const Tensor all = step_.logits(hidden, runs);
  std::vector<Tensor> parts;
  for (const TokenRun& run : runs) parts.push_back(all.narrow(1, run.first, run.size));
  return at::concat(parts, 1);
}

}  // namespace omni::model
