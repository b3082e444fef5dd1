#include "dry_run.h"

#include <algorithm>
#include <filesystem>
#include <iostream>

#include "omni/model/training_cost.h"
#include "omni/nn/precision.h"
#include "stage_data.h"
#include "stage_start.h"

namespace omni::training {
namespace {

using sequence::Modality;

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

// The tasks in turn, until a step is full.
std::vector<sequence::PackedSequence> longest_step(const StageConfig& config, const model::Bundle& bundle) {
  std::vector<sequence::Document> documents;
  for (const auto* tasks : {&config.mixture, &config.replay}) {
    for (const auto& [name, weight] : *tasks) {
      if (weight <= 0) continue;
      sequence::Document document;
      for (const sequence::TaskSegment& segment : sequence::find_task(name, bundle.tasks).segments)
        document.segments.push_back(longest_segment(segment, bundle.layout()));
      documents.push_back(std::move(document));
    }
  }
  sequence::PackedSequence batch;
  for (std::size_t i = 0; batch.length() < config.tokens_per_micro_batch; ++i)
    sequence::append_document(batch, documents[i % documents.size()], bundle.vocabulary(), bundle.layout());
  return std::vector(static_cast<std::size_t>(config.tokens_per_step / config.tokens_per_micro_batch), batch);
}

}  // namespace

void print_dry_run(const StageConfig& config) {
  const model::Bundle bundle = start_bundle(config);
  model::Transformer& transformer = *bundle.transformer;
  transformer.set_activation_type(nn::precision_type(config.precision));
  const auto missing =
      std::find_if(config.shards.begin(), config.shards.end(),
                   [](const std::string& folder) { return !std::filesystem::exists(folder); });
  const bool has_shards = missing == config.shards.end();
  const model::PrepareOptions options{.full_softmax = config.softmax == "full"};
  double flops = 0, activation_bytes = 0;
  for (const sequence::PackedSequence& batch :
       has_shards ? StageData(config, bundle).step(0) : longest_step(config, bundle)) {
    flops += model::training_flops(transformer, batch, options).total();
    activation_bytes =
        std::max(activation_bytes, model::activation_bytes(transformer, batch, config.recompute, options));
  }
  const auto parameters = static_cast<double>(transformer.parameters().element_count());
  // Weights, gradients and two moments in fp32, and the weights once more in bf16.
  const double state_bytes = parameters * (transformer.activation_type() == at::kBFloat16 ? 18 : 16);
  StageConfig shown = config;
  std::cout << config_to_yaml([&](ConfigVisitor& visitor) { describe(visitor, shown); });
  if (!has_shards)
    std::cout << "# of documents at full length, for there are no shards in '" << *missing << "' yet:\n";
  std::printf(
      "# parameters: %.3f million\n# FLOPs per step: %.3g\n# memory: %.2f GB weights and optimizer, about "
      "%.2f GB activations\n",
      parameters / 1e6, flops, state_bytes / 1e9, activation_bytes / 1e9);
}

}  // namespace omni::training
