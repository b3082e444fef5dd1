#include "memory_fit.h"

#include <algorithm>
#include <cctype>
#include <memory>

#include "cube3d_stage.h"
#include "dry_run.h"
#include "omni/core/error.h"
#include "omni/core/log.h"
#include "omni/core/system_info.h"
#include "omni/core/text_format.h"
#include "omni/kernels/cuda_plugin.h"
#include "omni/kernels/peak_memory.h"
#include "omni/model/batch_capacity.h"
#include "omni/model/training_cost.h"
#include "omni/nn/precision.h"
#include "omni/sequence/segment_parts.h"
#include "stage_start.h"

namespace omni::training {
namespace {

using sequence::Modality;

constexpr std::int64_t kFewestTokens = 64;  // that a config takes for a micro-batch

sequence::Segment longest_segment(const sequence::TaskSegment& wanted,
                                  const sequence::SequenceLayout& layout) {
  const auto codes = [](std::int64_t count) {
    return std::vector<std::int32_t>(static_cast<std::size_t>(count), 0);
  };
  sequence::Segment segment{.payload = sequence::TextPayload{codes(layout.text_capacity)}};
  if (wanted.modality == Modality::image)
    segment.payload =
        sequence::ImagePayload{.azimuth = {}, .elevation = {}, .codes = codes(layout.image_codes())};
  if (wanted.modality == Modality::shape) {
    sequence::ShapePayload shape;
    shape.geometry = codes(layout.geometry_capacity());
    shape.colour = codes(layout.colour_codes);
    segment.payload = std::move(shape);
  }
  segment.carries_loss = wanted.loss;
  return segment;
}

std::string gigabytes(double bytes) { return concat(with_decimals(bytes / 1e9, 3), " GB"); }

// A config on its way to one that fits, and the options that lead there.
struct Change {
  StageConfig config;
  int ranks;
  std::string what;

  Change with(const std::string& option) const {
    Change next = *this;
    next.what += (what.empty() ? "" : " ") + option;
    return next;
  }
};

// Micro-batches of half the size, as often as a step can still be made of them, of `fewest` tokens or more.
std::vector<Change> halvings(const Change& from, std::int64_t fewest) {
  std::vector<Change> all = {from};
  std::int64_t tokens = from.config.tokens_per_micro_batch;
  const std::int64_t multiple =
      from.config.cuda_graphs ? model::BatchCapacity::kRowMultiple : 1;  // that it takes
  while (tokens % (2 * multiple) == 0 && tokens / 2 >= fewest) {
    tokens /= 2;
    Change next = from.with(concat("--set tokens_per_micro_batch=", tokens));
    next.config.tokens_per_micro_batch = tokens;
    all.push_back(std::move(next));
  }
  return all;
}

std::vector<Change> on_these_ranks(const Change& start, std::int64_t fewest_tokens) {
  std::vector<Change> all = halvings(start, fewest_tokens);
  if (!start.config.recompute) {
    Change recomputed = start.with("--set recompute=true");
    recomputed.config.recompute = true;
    for (Change& change : halvings(recomputed, fewest_tokens)) all.push_back(std::move(change));
  }
  if (start.config.cuda_graphs) {
    Change plain = start.with("--set cuda_graphs=false");
    plain.config.cuda_graphs = false;
    for (Change& change : on_these_ranks(plain, fewest_tokens)) all.push_back(std::move(change));
  }
  return all;
}

// What the ranks share out, from what costs least.
std::vector<Change> shardings(const Change& start) {
  const StageConfig& config = start.config;
  std::vector<Change> all = {start};
  if (start.ranks == 1) return all;
  if (config.sharding == "none") {
    all.front() = start.with("--set sharding=optimizer");
    all.front().config.sharding = "optimizer";
  }
  const bool goes_with_full = !config.muon.enabled && !config.cuda_graphs && config.recompute_every == 1 &&
                              config.recompute_parts.empty();
  if (config.sharding == "full" || !goes_with_full) return all;
  Change full = start.with("--set sharding=full");
  full.config.sharding = "full";
  full.config.recompute = true;  // which it implies
  all.push_back(std::move(full));
  return all;
}

model::Bundle bundle_for_estimates(const StageConfig& config) {
  model::Bundle bundle = estimated_bundle(config);
  freeze_parameters(config, bundle.transformer->parameters());
  bundle.transformer->set_activation_type(nn::precision_type(config.precision));
  return bundle;
}

std::vector<std::string> drawn_tasks(const StageConfig& config) {
  std::vector<std::string> names;
  for (const auto* tasks : {&config.mixture, &config.replay})
    for (const auto& [name, weight] : *tasks)
      if (weight > 0) names.push_back(name);
  return names;
}

// One of documents at full length, the tasks in turn; the last one may go beyond its size. Empty without tasks.
sequence::PackedSequence longest_micro_batch(const StageConfig& config, const model::Bundle& bundle) {
  std::vector<sequence::Document> documents;
  for (const std::string& name : drawn_tasks(config)) {
    sequence::Document document;
    for (const sequence::TaskSegment& segment : sequence::find_task(name, bundle.tasks).segments)
      document.segments.push_back(longest_segment(segment, bundle.layout()));
    documents.push_back(std::move(document));
  }
  sequence::PackedSequence batch;
  if (documents.empty()) return batch;
  for (std::size_t i = 0; batch.length() < config.tokens_per_micro_batch; ++i)
    sequence::append_document(batch, documents[i % documents.size()], bundle.vocabulary(), bundle.layout());
  return batch;
}

double activations_of(const StageConfig& config, const model::Bundle& bundle, int ranks) {
  const sequence::PackedSequence batch = longest_micro_batch(config, bundle);
  if (batch.length() == 0) return 0;
  return bytes_of_passes(config,
                         model::activation_bytes(*bundle.transformer, batch, recomputation_of(config, ranks),
                                                 {.full_softmax = config.softmax == "full"}));
}

// A micro-batch holds the longest document of each task whole.
std::int64_t fewest_tokens_of(const StageConfig& config, const model::Bundle& bundle) {
  std::vector<std::string> names = drawn_tasks(config);
  names.insert(names.end(), config.earlier_tasks.begin(), config.earlier_tasks.end());
  const sequence::SegmentParts parts(bundle.vocabulary(), bundle.layout());
  std::int64_t fewest = kFewestTokens;
  for (const std::string& name : names) {
    std::vector<Modality> modalities;
    for (const sequence::TaskSegment& segment : sequence::find_task(name, bundle.tasks).segments)
      modalities.push_back(segment.modality);
    fewest = std::max(fewest, parts.document_capacity(modalities));
  }
  return fewest;
}

}  // namespace

std::vector<sequence::PackedSequence> longest_step(const StageConfig& config, const model::Bundle& bundle) {
  const sequence::PackedSequence batch = longest_micro_batch(config, bundle);
  if (batch.length() == 0) return {};
  return std::vector(static_cast<std::size_t>(config.batches_per_step()), batch);
}

double bytes_of_passes(const StageConfig& config, double pass_bytes) {
  return config.cuda_graphs ? 2 * pass_bytes : pass_bytes;
}

MemoryParts estimated_memory(const StageConfig& config, int ranks) {
  const model::Bundle bundle = bundle_for_estimates(config);
  const double activations = activations_of(config, bundle, ranks);
  MemoryParts parts = expected_memory(config, bundle, ranks);
  parts.activations = activations;
  return parts;
}

NeededMemory estimated_needs(const StageConfig& config) {
  const auto bundle = std::make_shared<const model::Bundle>(bundle_for_estimates(config));
  return {
      .kept = [](const StageConfig& changed,
                 int ranks) { return expected_memory(changed, bundle_for_estimates(changed), ranks).sum(); },
      .activations = [bundle](const StageConfig& changed) { return activations_of(changed, *bundle, 1); },
      .fewest_tokens = fewest_tokens_of(config, *bundle)};
}

std::optional<FittingChange> smallest_fitting_change(const StageConfig& config, int ranks, int most_ranks,
                                                     double there, const NeededMemory& needed) {
  Change start{config, ranks, ""};
  for (bool first = true; start.ranks <= std::max(ranks, most_ranks); first = false) {
    for (const Change& sharded : shardings(start)) {
      const double kept = needed.kept(sharded.config, sharded.ranks);
      if (kept > there) continue;
      for (const Change& change : on_these_ranks(sharded, needed.fewest_tokens)) {
        if ((first && change.what.empty()) || change.config.batches_per_step() < change.ranks) continue;
        const double bytes = kept + needed.activations(change.config);
        if (bytes <= there) return FittingChange{change.what, bytes};
      }
    }
    start = Change{config, 2 * start.ranks, ""}.with(concat(2 * start.ranks, " ranks"));
  }
  return std::nullopt;
}

std::string fitting_advice(const StageConfig& config, int ranks, double there, bool others_may_join) {
  const int most_ranks = others_may_join ? 1 << 12 : ranks;
  const auto change = smallest_fitting_change(config, ranks, most_ranks, there, estimated_needs(config));
  if (!change) return "no other setting makes it fit: make the model smaller";
  return concat("the smallest change that fits: ", change->what, " (", gigabytes(change->bytes), ")");
}

double memory_for_rank(const StageConfig& config, int local_ranks) {
  if (config.device == "cpu") return static_cast<double>(memory_bytes()) / local_ranks;
  return kernels::gpu_refusal().empty() ? 1e9 * kernels::device_gigabytes({at::kCUDA, 0}) : 0;
}

void require_memory(const StageConfig& config, int ranks, int local_ranks, bool tells) {
  if (Cube3dStage::starts_from(config)) return;
  const double there = memory_for_rank(config, local_ranks);
  if (there == 0) return;
  MemoryParts parts = estimated_memory(config, ranks);
  const double needed = parts.sum();
  if (needed <= there) return;
  const double kept = needed - parts.activations;
  // More ranks on this host would not have more memory.
  std::string advice = fitting_advice(config, ranks, there, /*others_may_join=*/config.device != "cpu");
  advice.front() = static_cast<char>(std::toupper(advice.front()));
  if (kept > there)
    fail(ErrorKind::out_of_memory, "training '", config.output, "': each rank keeps about ", gigabytes(kept),
         " from step to step and has ", gigabytes(there), ". ", advice);
  if (tells)
    log_warning("each rank needs about ", gigabytes(needed), " at the peak of a step, ",
                gigabytes(parts.activations), " of it activations, and has ", gigabytes(there), ". ", advice);
}

}  // namespace omni::training
