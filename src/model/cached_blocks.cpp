#include "cached_blocks.h"

#include <ATen/core/grad_mode.h>

#include <utility>

#include "host_step.h"
#include "omni/core/error.h"
#include "omni/kernels/packed_products.h"

namespace omni::model {

namespace {

// Places in one kind of cache: every row, or those of the generated stream alone.
struct Places {
  std::vector<std::int32_t> sequences, positions, last_seen;

  kernels::DecodeStepRows::Places view() const {
    return {sequences, positions, last_seen.empty() ? positions : last_seen};
  }
};

// Sequences of `many` rows or more by themselves, shorter ones together while they are fewer.
std::vector<kernels::RowRange> parts_of(const std::vector<std::int32_t>& sequences, std::int64_t many) {
  std::vector<kernels::RowRange> parts;
  const auto count = static_cast<std::int64_t>(sequences.size());
  for (std::int64_t first = 0, last; first < count; first = last) {
    for (last = first + 1; last < count && sequences[last] == sequences[first];) ++last;
    if (!parts.empty() && last - parts.back().first < many)
      parts.back().last = last;
    else
      parts.push_back({first, last});
  }
  return parts;
}

NewRows part_of(const NewRows& rows, const kernels::RowRange& part) {
  const auto cut = [&](const auto& values) {
    auto own = values;
    if (!values.empty()) own.assign(values.begin() + part.first, values.begin() + part.last);
    return own;
  };
  NewRows own{cut(rows.sequences), cut(rows.offsets), cut(rows.rows),
              cut(rows.columns),   cut(rows.streams), cut(rows.last_seen)};
  for (std::size_t& row : own.last_seen) row -= static_cast<std::size_t>(part.first);
  own.last_outputs_alone = rows.last_outputs_alone;
  return own;
}

// Keeps of the outputs those of sequences' last rows, and returns which they were of all.
std::vector<std::int64_t> keep_last_outputs(std::vector<std::int64_t>& row_of, const NewRows& rows) {
  std::vector<std::int64_t> kept;
  for (std::size_t i = 0; i < row_of.size(); ++i) {
    const std::int64_t output = std::exchange(row_of[i], -1);
    if (output < 0 || !rows.is_last(i)) continue;
    row_of[i] = static_cast<std::int64_t>(kept.size());
    kept.push_back(output);
  }
  return kept;
}

}  // namespace

CachedBlocks::CachedBlocks(const Transformer::Network& network, std::int64_t sequence_count,
                           std::int64_t capacity, const DecodePrecision& precision)
    : network_(&network),
      capacity_(capacity),
      weights_(precision.weights),
      lengths_(sequence_count, 0),
      generated_lengths_(sequence_count, 0) {
  const TransformerConfig& config = network.config;
  for (std::int64_t i = 0; i < config.block_count(); ++i)
    caches_.emplace_back(sequence_count, config.stored_heads(), capacity, config.attention_head_size(),
                         precision.cache, network.embedding.device());
}

bool CachedBlocks::holds_generated_rows(std::size_t block) const {
  return network_->config.drops_text() && block >= network_->dual_blocks.size();
}

CachedBlocks::Outputs CachedBlocks::append(const Tensor& embedded, const NewRows& rows) {
  if (!network_->embedding.device().is_cpu()) return append_together(embedded, rows);
  const std::vector<kernels::RowRange> parts = parts_of(rows.sequences, kernels::rows_for_products());
  if (parts.size() <= 1) return append_together(embedded, rows);
  Outputs all;
  std::vector<Tensor> hidden;
  std::int64_t outputs = 0;
  for (const kernels::RowRange& part : parts) {
    const Outputs own =
        append_together(embedded.narrow(0, part.first, part.last - part.first), part_of(rows, part));
    for (const std::int64_t row : own.row_of) all.row_of.push_back(row < 0 ? row : row + outputs);
    hidden.push_back(own.hidden);
    outputs += own.hidden.size(0);
  }
  all.hidden = at::concat(hidden, 0);
  return all;
}

CachedBlocks::Outputs CachedBlocks::append_together(const Tensor& embedded, const NewRows& rows) {
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
    out.row_of.push_back(network_->config.drops_text() && rows.streams[i] == 0 ? -1 : outputs++);
  }
  for (std::size_t i = 0; i < rows.last_seen.size(); ++i) {
    all.last_seen.push_back(all.positions[rows.last_seen[i]]);
    if (rows.streams[i] == 1) generated.last_seen.push_back(generated_position[rows.last_seen[i]]);
  }
  const std::vector<std::int64_t> starts = {0, count};
  const RowPlan plan = network_->plan({rows.offsets, rows.rows, rows.columns, rows.streams, starts});
  if (kernels::DecodeStep* const step = host_step(rows)) {
    const nn::AttentionPlan& turned = plan.dual.cosine.defined() ? plan.dual : plan.single;
    out.hidden =
        step->run({embedded.contiguous(), turned.cosine, turned.sine, {all.view(), generated.view()}});
    return out;
  }
  const auto attend = [&](std::size_t block, const Tensor& qkv, const kernels::RotaryAttention& attention) {
    const Places& own = holds_generated_rows(block) ? generated : all;
    const Tensor attended = kernels::cached_attention(qkv, attention, caches_[block], own.sequences,
                                                      own.positions, own.last_seen);
    if (!first_row_alone_ || !holds_generated_rows(block)) return attended;
    return attend_to_first_rows(block, own.sequences).to(attended.scalar_type());
  };
  RowPass pass{.attend = attend, .decoding = weights_, .dropout_seed = {}, .dropout_keys = {}, .wanted = {}};
  if (rows.last_outputs_alone && !network_->single_blocks.empty()) {
    const std::vector<std::int64_t> kept = keep_last_outputs(out.row_of, rows);
    const auto wanted = static_cast<std::int64_t>(kept.size());
    if (wanted > 0 && wanted < outputs) pass.wanted = index_tensor(kept).to(embedded.device());
  }
  out.hidden = network_->run(embedded, plan, pass);
  return out;
}

kernels::DecodeStep* CachedBlocks::host_step(const NewRows& rows) {
  if (rows.streams.size() > static_cast<std::size_t>(kernels::DecodeStep::kMostRows) || first_row_alone_)
    return nullptr;
  const std::size_t stream = network_->config.streams == 2 ? rows.streams.front() : 0;
  if (network_->config.streams == 2 &&
      !std::all_of(rows.streams.begin(), rows.streams.end(), [&](std::uint8_t s) { return s == stream; }))
    return nullptr;
  auto& step = host_steps_.at(stream);
  if (!step) step = make_host_step(*network_, *this, stream, weights_);
  return step->get();
}

// Over one key the softmax is 1.
Tensor CachedBlocks::attend_to_first_rows(std::size_t block,
                                          const std::vector<std::int32_t>& sequences) const {
  ensure(network_->config.stored_heads() == network_->config.heads, "values are not shared between heads");
  std::vector<Tensor> values;
  for (const std::int32_t sequence : sequences)
    values.push_back(caches_[block].read_values(sequence, 1).flatten());
  return at::stack(values);
}

std::optional<CachedBlocks::StepPlaces> CachedBlocks::step_places(std::span<const std::int32_t> sequences,
                                                                  std::int64_t heads_per_key,
                                                                  std::int64_t ahead) const {
  std::vector<std::int32_t> all, generated;
  for (const std::int32_t s : sequences) {
    ensure(lengths_.at(s) + ahead < capacity_, "sequence ", s, " has no room for another token: capacity ",
           capacity_);
    all.push_back(static_cast<std::int32_t>(lengths_[s] + ahead));
    generated.push_back(static_cast<std::int32_t>(generated_lengths_[s] + ahead));
  }
  const auto places = kernels::cuda_step_places(caches_.front(), sequences, all, heads_per_key);
  if (!places) return std::nullopt;
  if (!holds_generated_rows(caches_.size() - 1)) return StepPlaces{*places, *places};
  const auto own = kernels::cuda_step_places(caches_.back(), sequences, generated, heads_per_key);
  if (!own) return std::nullopt;
  return StepPlaces{*places, *own};
}

void CachedBlocks::count_steps(std::span<const std::int32_t> sequences, std::int64_t count) {
  for (const std::int32_t s : sequences) {
    lengths_.at(s) += count;
    generated_lengths_.at(s) += count;
  }
}

void CachedBlocks::copy_sequence(std::int64_t from, std::int64_t to) {
  for (std::size_t i = 0; i < caches_.size(); ++i) {
    const auto& lengths = holds_generated_rows(i) ? generated_lengths_ : lengths_;
    caches_[i].share_prefix(from, to, lengths.at(from));
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
