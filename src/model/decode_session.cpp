#include "omni/model/decode_session.h"

#include <ATen/core/grad_mode.h>

#include <numeric>

#include "cached_blocks.h"
#include "device_step.h"
#include "omni/core/error.h"
#include "omni/kernels/decode_linear.h"
#include "transformer_network.h"

namespace omni::model {

DecodePrecision parse_decode_precision(std::string_view name) {
  if (name == "fp32") return {};
  if (name == "bf16") return {kernels::DecodeFormat::bf16, kernels::CacheType::bf16};
  if (name == "int8") return {kernels::DecodeFormat::int8, kernels::CacheType::int8};
  fail(ErrorKind::usage, "the precision '", name, "' is not known. Choose fp32, bf16 or int8");
}

namespace {

// Whether logits are made with a parameter as it is, without a share of codebooks.
bool has_plain_head(const Transformer::Network& network) {
  return network.head.defined() || network.code_ranges.empty();
}

// What logits are made with, [vocabulary, width]: in bf16 for a session on a GPU whose activations are in
// bf16 and whose weights are not wanted in fp32, else in fp32. A row is to meet the same head whether those
// beside it let it take the device's steps or not.
Tensor head_of(const Transformer::Network& network, const Tensor& token_rows,
               const DecodePrecision& precision) {
  const Tensor rows = network.head_rows(token_rows);
  if (!network.embedding.is_cuda() || network.type != at::kBFloat16 ||
      precision.weights == kernels::DecodeFormat::fp32)
    return rows;
  return has_plain_head(network) ? network.output_rows.as(at::kBFloat16) : rows.to(at::kBFloat16);
}

}  // namespace

struct DecodeSession::State {
  const Transformer::Network* network;
  CachedBlocks blocks;
  Tensor token_rows, head_rows;  // see head_of()
  // head_rows for products of a few rows, on the CPU: the network's, or made here where codebooks are added.
  kernels::DecodeWeight own_head;
  const kernels::DecodeWeight* head = nullptr;
  Tensor last;                         // [sequences, width] fp32: output of each sequence's last token
  std::vector<std::uint8_t> has_last;  // false where that token gives no output
  std::unique_ptr<DeviceStep> device_step;

  State(const Transformer& model, std::int64_t count, std::int64_t capacity, const DecodePrecision& precision)
      : network(&model.network()),
        blocks(model.network(), count, capacity, precision),
        token_rows(network->token_rows()),
        head_rows(head_of(*network, token_rows, precision)),
        last(at::zeros({count, network->config.width})),
        has_last(count, 0),
        device_step(DeviceStep::make(*network, blocks, token_rows, head_rows, precision)) {
    if (!network->embedding.device().is_cpu()) return;
    if (has_plain_head(*network)) {
      head = &network->output_rows.for_decoding(precision.weights);
    } else {
      own_head = kernels::DecodeWeight(head_rows, precision.weights);
      head = &own_head;
    }
  }

  CachedBlocks::Outputs pass(const Appended& appended);

  // hidden [n, width]: of the last tokens of n sequences.
  void keep_last(const std::vector<std::int64_t>& sequences, const Tensor& hidden) {
    for (const std::int64_t s : sequences) has_last[static_cast<std::size_t>(s)] = 1;
    last.index_copy_(0, index_tensor(sequences), hidden.to(at::kFloat).cpu());
  }

  // hidden [n, width] fp32 on the CPU -> logits of `outputs` [n, outputs] fp32.
  Tensor logits(const Tensor& hidden, const kernels::RowRange& outputs) const {
    if (head) return kernels::decode_linear(hidden, *head, {}, outputs);
    const Tensor weight = head_rows.narrow(0, outputs.first, outputs.last - outputs.first).t();
    const Tensor rows = hidden.to(weight.device(), weight.scalar_type());  // exact: it was made in that type
    return weight.scalar_type() == at::kFloat ? at::mm(rows, weight) : at::mm(rows, weight, at::kFloat);
  }

  // hidden [n, width] fp32 on the CPU -> logits of the allowed tokens [n, allowed.count()].
  Tensor logits(const Tensor& hidden, const sequence::AllowedTokens& allowed) const {
    if (device_step) return device_step->logits(hidden, allowed).cpu();
    std::vector<Tensor> parts;
    for (int r = 0; r < allowed.run_count; ++r) {
      const std::int64_t first = allowed.runs[r].first, size = allowed.runs[r].size;
      parts.push_back(logits(hidden, kernels::RowRange{first, first + size}));
    }
    return (parts.size() == 1 ? parts[0] : at::concat(parts, 1)).cpu().contiguous();
  }
};

DecodeSession::DecodeSession(const Transformer& model, std::int64_t sequence_count, std::int64_t capacity,
                             const DecodePrecision& precision) {
  const c10::NoGradGuard guard;
  ensure(sequence_count > 0 && capacity > 0, "a decode session needs sequences and room");
  state_ = std::make_unique<State>(model, sequence_count, capacity, precision);
}

DecodeSession::~DecodeSession() = default;

std::int64_t DecodeSession::sequence_count() const {
  return static_cast<std::int64_t>(state_->has_last.size());
}
bool DecodeSession::steps_on_device() const { return state_->device_step != nullptr; }
std::int64_t DecodeSession::length(std::int64_t sequence) const { return state_->blocks.length(sequence); }

namespace {

// Of each row, the last one that it sees: itself, or in a bidirectional segment, which comes all at once, the
// segment's last.
std::vector<std::size_t> last_seen_rows(const TransformerConfig& config, const NewRows& rows,
                                        std::span<const sequence::TokenPlace> places) {
  std::vector<std::size_t> last_seen;
  if (config.bidirectional.empty()) return last_seen;
  for (std::size_t i = 0; i < places.size(); ++i) last_seen.push_back(i);
  for (std::size_t i = places.size(); i-- > 1;) {
    const sequence::TokenPlace &place = places[i - 1], &next = places[i];
    if (rows.sequences[i - 1] == rows.sequences[i] && place.segment == next.segment &&
        place.modality == next.modality && config.is_bidirectional(place.modality))
      last_seen[i - 1] = last_seen[i];
  }
  return last_seen;
}

}  // namespace

// New rows of all sequences and what is embedded for them.
struct DecodeSession::Appended {
  NewRows rows;
  std::vector<sequence::TokenPlace> places;
  std::vector<std::int64_t> ids, slots, next_slots;
  std::vector<Tensor> features;  // of some rows, in place of their tokens'
  std::vector<std::int64_t> feature_rows;

  void add(std::int64_t sequence, const sequence::TokenPlace& place) {
    rows.sequences.push_back(static_cast<std::int32_t>(sequence));
    rows.offsets.push_back(place.offset);
    rows.rows.push_back(place.row);
    rows.columns.push_back(place.column);
    rows.streams.push_back(place.modality == sequence::Modality::text ? 0 : 1);
    places.push_back(place);
  }

  void add_tokens(const Transformer::Network& net, std::int64_t sequence,
                  std::span<const DecodeToken> tokens) {
    for (const DecodeToken& t : tokens) {
      ensure(t.token >= 0 && t.token < net.vocabulary.size(), "token ", t.token,
             " is outside the model's vocabulary");
      if (t.embedded.defined()) {
        ensure(t.embedded.dim() == 1 && t.embedded.size(0) == net.config.width, "features ",
               t.embedded.sizes(), " for a model ", net.config.width, " wide");
        features.push_back(t.embedded.to(at::kFloat).unsqueeze(0));
        feature_rows.push_back(static_cast<std::int64_t>(ids.size()));
      }
      ids.push_back(t.token);
      slots.push_back(net.slot_row(t.place.modality, t.place.slot));
      next_slots.push_back(t.next_place ? net.slot_row(t.next_place->modality, t.next_place->slot)
                                        : net.no_slot());
      add(sequence, t.place);
    }
  }

  void add_features(const Transformer::Network& net, std::int64_t sequence, const DecodePrompt& prompt) {
    if (!prompt.features.defined()) return;
    ensure(prompt.features.dim() == 2 && prompt.features.size(1) == net.config.width &&
               prompt.features.size(0) == static_cast<std::int64_t>(prompt.feature_places.size()),
           "features ", prompt.features.sizes(), " for ", prompt.feature_places.size(), " places of a model ",
           net.config.width, " wide");
    features.push_back(prompt.features.to(at::kFloat));
    for (const sequence::TokenPlace& place : prompt.feature_places) {
      feature_rows.push_back(static_cast<std::int64_t>(ids.size()));
      ids.push_back(sequence::kPad);
      slots.push_back(net.no_slot());
      next_slots.push_back(net.no_slot());
      add(sequence, place);
    }
  }

  Tensor embedded(const Transformer::Network& net, const Tensor& token_rows) const {
    const auto device = net.embedding.device();
    Tensor embedded = net.embed(token_rows, {index_tensor(ids).to(device),
                                             index_tensor(slots).to(device),
                                             index_tensor(next_slots).to(device),
                                             {}});
    if (!features.empty())
      embedded.index_copy_(0, index_tensor(feature_rows).to(device), at::concat(features, 0).to(device));
    return embedded;
  }
};

void DecodeSession::prefill(std::span<const DecodePrompt> prompts) {
  const c10::NoGradGuard guard;
  ensure(static_cast<std::int64_t>(prompts.size()) == sequence_count(), "one prompt per sequence");
  Appended appended;
  for (std::size_t s = 0; s < prompts.size(); ++s) {
    const auto sequence = static_cast<std::int64_t>(s);
    const bool any = prompts[s].features.defined() || !prompts[s].tokens.empty();
    ensure(!any || length(sequence) == 0, "a prompt for sequence ", s, ", which has begun");
    appended.add_features(*state_->network, sequence, prompts[s]);
    appended.add_tokens(*state_->network, sequence, prompts[s].tokens);
  }
  append(std::move(appended));
}

void DecodeSession::append(std::span<const std::vector<DecodeToken>> tokens) {
  const c10::NoGradGuard guard;
  ensure(static_cast<std::int64_t>(tokens.size()) == sequence_count(), "one token list per sequence");
  Appended appended;
  for (std::size_t s = 0; s < tokens.size(); ++s)
    appended.add_tokens(*state_->network, static_cast<std::int64_t>(s), tokens[s]);
  append(std::move(appended));
}

CachedBlocks::Outputs DecodeSession::State::pass(const Appended& appended) {
  if (device_step && appended.features.empty()) {
    const auto hidden =
        device_step->append(appended.rows, {appended.ids, appended.slots, appended.next_slots});
    if (hidden) {
      CachedBlocks::Outputs out{*hidden, std::vector<std::int64_t>(appended.ids.size())};
      std::iota(out.row_of.begin(), out.row_of.end(), 0);
      return out;
    }
  }
  return blocks.append(appended.embedded(*network, token_rows), appended.rows);
}

std::int64_t DecodeSession::longest_stretch() const {
  return steps_on_device() ? kernels::CudaDecodeStep::kMostSteps : 0;
}

std::optional<std::vector<std::vector<kernels::DrawnToken>>> DecodeSession::draw(
    std::span<const DecodeStretch> samples) {
  const c10::NoGradGuard guard;
  if (!state_->device_step) return std::nullopt;
  ensure(!samples.empty() && !samples[0].choices.empty(), "a stretch without a choice");
  std::vector<DeviceStep::Drawing> steps;
  for (std::size_t i = 0; i < samples[0].choices.size(); ++i) {
    Appended appended;
    DeviceStep::Drawing& step = steps.emplace_back();
    for (const DecodeStretch& sample : samples) {
      ensure(sample.choices.size() == samples[0].choices.size() &&
                 sample.choices[i].shown.size() == sample.sequences.size(),
             "the samples of a stretch differ in their choices or rows");
      const SettledChoice& choice = sample.choices[i];
      for (std::size_t row = 0; row < sample.sequences.size(); ++row)
        appended.add_tokens(*state_->network, sample.sequences[row], {&choice.shown[row], 1});
      const auto& allowed = choice.allowed;
      step.draws.push_back({{allowed.runs.begin(), allowed.runs.begin() + allowed.run_count},
                            choice.guidance,
                            choice.sampling,
                            choice.key});
    }
    step.rows = std::move(appended.rows);
    step.tokens = std::move(appended.ids);
    step.slots = std::move(appended.slots);
    step.next_slots = std::move(appended.next_slots);
  }
  auto drawn = state_->device_step->draw(steps);
  if (!drawn) return std::nullopt;
  const std::vector<std::int32_t>& sequences = steps.front().rows.sequences;
  state_->keep_last({sequences.begin(), sequences.end()},
                    state_->device_step->hidden(static_cast<std::int64_t>(sequences.size())));
  return drawn;
}

void DecodeSession::append(Appended appended) {
  const Transformer::Network& net = *state_->network;
  NewRows& rows = appended.rows;
  if (rows.sequences.empty()) return;
  rows.last_seen = last_seen_rows(net.config, rows, appended.places);
  rows.last_outputs_alone = true;
  const CachedBlocks::Outputs out = state_->pass(appended);
  std::vector<std::int64_t> sources, targets;
  for (std::size_t i = 0; i < rows.sequences.size(); ++i) {
    const std::int32_t s = rows.sequences[i];
    if (!rows.is_last(i)) continue;
    state_->has_last[s] = 0;
    if (out.row_of[i] < 0) continue;
    sources.push_back(out.row_of[i]);
    targets.push_back(s);
  }
  if (sources.empty()) return;
  const Tensor rows_of_last = index_tensor(sources).to(net.embedding.device());
  state_->keep_last(targets, out.hidden.index_select(0, rows_of_last));
}

std::vector<std::vector<float>> DecodeSession::logits(
    std::span<const std::int64_t> sequences, std::span<const sequence::AllowedTokens> allowed) const {
  const c10::NoGradGuard guard;
  ensure(sequences.size() == allowed.size(), "one set of allowed tokens per sequence");
  std::vector<std::vector<float>> result(sequences.size());
  std::vector<bool> done(sequences.size(), false);
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    if (done[i]) continue;
    std::vector<std::size_t> members;
    std::vector<std::int64_t> rows;
    for (std::size_t j = i; j < sequences.size(); ++j) {
      if (done[j] || !(allowed[j] == allowed[i])) continue;
      done[j] = true;
      if (allowed[j].count() == 1) {
        result[j] = {0.0f};
        continue;
      }
      ensure(state_->has_last[sequences[j]], "logits after a token that the model gives no output for");
      members.push_back(j);
      rows.push_back(sequences[j]);
    }
    if (members.empty()) continue;
    const Tensor logits = state_->logits(state_->last.index_select(0, index_tensor(rows)), allowed[i]);
    const float* values = logits.const_data_ptr<float>();
    const std::int64_t width = logits.size(1);
    for (std::size_t m = 0; m < members.size(); ++m)
      result[members[m]].assign(values + m * width, values + (m + 1) * width);
  }
  return result;
}

void DecodeSession::copy_sequence(std::int64_t from, std::int64_t to) {
  const c10::NoGradGuard guard;
  if (from == to) return;
  state_->blocks.copy_sequence(from, to);
  state_->last[to].copy_(state_->last[from]);
  state_->has_last[to] = state_->has_last[from];
}

void DecodeSession::clear_sequence(std::int64_t sequence) {
  state_->blocks.clear_sequence(sequence);
  state_->has_last[sequence] = 0;
}

}  // namespace omni::model
