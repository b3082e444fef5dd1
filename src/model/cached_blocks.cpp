#include "cached_blocks.h"

#include <ATen/core/grad_mode.h>

#include "omni/core/error.h"

namespace omni::model {

CachedBlocks::CachedBlocks(const Transformer::Network& network, std::int64_t sequence_count,
                           std::int64_t capacity, const DecodePrecision& precision)
    : network_(&network),
      capacity_(capacity),
      weights_(precision.weights),
      lengths_(sequence_count, 0),
      generated_lengths_(sequence_count, 0) {
  const nn::DecoderShape& shape = network.shape;
  for (std::int64_t i = 0; i < network.config.block_count(); ++i)
    caches_.emplace_back(sequence_count, shape.key_value_heads, capacity, shape.head_size, precision.cache,
                         network.embedding.device());
}

void CachedBlocks::run_block(const nn::DecoderBlock& block, std::vector<nn::StreamRows>& rows,
                             const nn::StreamOrder& order, const nn::AttentionPlan& plan,
                             const Places& places, kernels::KeyValueCache& cache) const {
  const nn::DecoderShape& shape = network_->shape;
  const Tensor qkv = block.project(rows, shape, order, network_->type, weights_);
  const Tensor attended = kernels::cached_attention(qkv, block.attention(shape, order, plan), cache,
                                                    places.sequences, places.positions, places.last_seen);
  block.finish(rows, attended, shape, order, false, weights_);
}

CachedBlocks::Outputs CachedBlocks::append(const Tensor& embedded, const NewRows& rows) {
  const c10::NoGradGuard guard;
  const auto count = static_cast<std::int64_t>(rows.sequences.size());
  Places all, generated;
  std::vector<std::int32_t> generated_position(static_cast<std::size_t>(count), 0);
  Outputs out;
  std::int64_t outputs = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int32_t s = rows.sequences[i];
    ensure(lengths_.at(s) < capacity_, "sequence ", s, " has no room for another token: capacity ",
           capacity_);
    all.sequences.push_back(s);
    all.positions.push_back(static_cast<std::int32_t>(lengths_[s]++));
    if (rows.streams[i] == 1) {
      generated.sequences.push_back(s);
      generated.positions.push_back(static_cast<std::int32_t>(generated_lengths_[s]++));
      generated_position[i] = generated.positions.back();
    }
    out.row_of.push_back(network_->drops_text() && rows.streams[i] == 0 ? -1 : outputs++);
  }
  for (std::size_t i = 0; i < rows.last_seen.size(); ++i) {
    all.last_seen.push_back(all.positions[rows.last_seen[i]]);
    if (rows.streams[i] == 1) generated.last_seen.push_back(generated_position[rows.last_seen[i]]);
  }
  const std::vector<std::int64_t> starts = {0, count};
  const RowPlan plan = network_->plan({rows.offsets, rows.rows, rows.columns, rows.streams, starts});
  std::vector<nn::StreamRows> streams;
  if (network_->config.streams == 1) {
    streams = {{embedded, {}}};
  } else {
    for (const Tensor& stream : plan.order.rows) streams.push_back({embedded.index_select(0, stream), {}});
  }
  std::size_t next = 0;
  for (const nn::DecoderBlock& block : network_->dual_blocks)
    run_block(block, streams, plan.order, plan.dual, all, caches_[next++]);
  if (network_->drops_text()) {
    streams.erase(streams.begin());
  } else if (streams.size() == 2) {
    const auto joined = [&](const Tensor& a, const Tensor& b) {
      return at::cat({a, b}, 0).index_select(0, plan.order.joint_order);
    };
    streams = {
        {joined(streams[0].residual, streams[1].residual), joined(streams[0].delta, streams[1].delta)}};
  }
  if (outputs == 0) return out;
  const Places& single_places = network_->drops_text() ? generated : all;
  for (const nn::DecoderBlock& block : network_->single_blocks)
    run_block(block, streams, plan.order, plan.single, single_places, caches_[next++]);
  const nn::DecoderShape& shape = network_->shape;
  out.hidden = kernels::add_norm(streams[0].residual, streams[0].delta, network_->final_norm,
                                 {shape.norm, shape.norm_epsilon, network_->type})
                   .second;
  return out;
}

void CachedBlocks::copy_sequence(std::int64_t from, std::int64_t to) {
  for (std::size_t i = 0; i < caches_.size(); ++i) {
    const bool generated_only = network_->drops_text() && i >= network_->dual_blocks.size();
    caches_[i].share_prefix(from, to, (generated_only ? generated_lengths_ : lengths_).at(from));
  }
  lengths_.at(to) = lengths_.at(from);
  generated_lengths_.at(to) = generated_lengths_.at(from);
}

void CachedBlocks::clear_sequence(std::int64_t sequence) {
  for (kernels::KeyValueCache& cache : caches_) cache.release(sequence);
  lengths_.at(sequence) = 0;
  generated_lengths_.at(sequence) = 0;
}

}  // namespace omni::model
