// omni info model: what a model of a configuration takes, without one being made.
#include <cstdio>
#include <filesystem>
#include <memory>

#include "commands.h"
#include "omni/model/bundle.h"
#include "omni/model/model_sizes.h"
#include "omni/model/public_model.h"
#include "omni/sequence/segment_parts.h"
#include "public_info.h"

namespace omni::tools {
namespace {

constexpr double kGigabyte = 1e9, kMillion = 1e6;

void print_layout(const model::ModelSizes& sizes) {
  const model::TransformerConfig& t = sizes.transformer;
  if (t.streams == 2)
    std::printf("blocks            %lld of two streams, %lld over %s\n",
                static_cast<long long>(t.dual_blocks), static_cast<long long>(t.single_blocks),
                t.single_over == "all" ? "both" : "the generated one");
  else
    std::printf("blocks            %lld\n", static_cast<long long>(t.single_blocks));
  std::printf("width             %lld, MLP %lld, %lld heads of %lld, %lld of keys and values\n",
              static_cast<long long>(t.width), static_cast<long long>(t.mlp_width()),
              static_cast<long long>(t.heads), static_cast<long long>(t.attention_head_size()),
              static_cast<long long>(t.stored_heads()));
  std::printf("vocabulary        %lld tokens:", static_cast<long long>(sizes.vocabulary.size()));
  for (const sequence::TokenRange& range : sizes.vocabulary.ranges())
    std::printf(" %s %lld", range.name.c_str(), static_cast<long long>(range.size));
  std::printf("\ncontext           %lld tokens\n", static_cast<long long>(sizes.context));
}

void print_parts(const model::ModelSizes& sizes) {
  const auto row = [](const std::string& name, std::int64_t parameters, std::int64_t tensors) {
    std::printf("  %-36s %14lld  %5lld tensors\n", name.c_str(), static_cast<long long>(parameters),
                static_cast<long long>(tensors));
  };
  std::printf("parameters\n");
  for (const auto& part : sizes.parts) row(part.name, part.parameters, part.tensors);
  row("in all", sizes.parameters(), sizes.tensors());
}

void print_memory(const model::ModelSizes& sizes) {
  std::printf("memory for sampling, GB       weights    cache of a sequence\n");
  for (const auto& precision : sizes.sampling)
    std::printf("  %-24s %10.3f %22.3f\n", precision.name.c_str(), precision.weights / kGigabyte,
                precision.cache / kGigabyte);
  std::printf(
      "memory for training, GB       weights  gradients  fp32 of bf16    AdamW    in all, without activations\n");
  for (const auto& training : sizes.training)
    std::printf("  %-24s %10.3f %10.3f %13.3f %8.3f %9.3f\n", training.name.c_str(),
                training.weights / kGigabyte, training.gradients / kGigabyte, training.masters / kGigabyte,
                training.moments / kGigabyte, training.total() / kGigabyte);
}

void print_flops(const std::string& name, const model::ModelSizes::Flops& flops) {
  std::printf("  %-24s %10.1f %10.1f %10.1f %10.1f\n", name.c_str(), flops.linear / kMillion,
              flops.attention / kMillion, flops.head / kMillion, flops.total() / kMillion);
}

// Of a bundle a document of each of its modalities is the context.
model::ModelSizes sizes_of_bundle(const std::string& folder) {
  const model::Bundle shapes = model::load_bundle_shapes(folder);
  std::vector<sequence::Modality> modalities = {sequence::Modality::text};
  if (shapes.tokenizers.image() != nullptr) modalities.push_back(sequence::Modality::image);
  if (shapes.tokenizers.shape() != nullptr) modalities.push_back(sequence::Modality::shape);
  return model::model_sizes(
      *shapes.transformer,
      sequence::SegmentParts(shapes.vocabulary(), shapes.layout()).document_capacity(modalities));
}

void print_sizes(const model::ModelSizes& sizes) {
  print_layout(sizes);
  print_parts(sizes);
  print_memory(sizes);
  std::printf(
      "MFLOPs of a token forwards     layers  attention     logits     in all (training: three times as many)\n");
  if (sizes.transformer.streams == 2) print_flops("text", sizes.text);
  print_flops(sizes.transformer.streams == 2 ? "generated" : "each", sizes.generated);
}

void print_model(const std::string& path) {
  refuse_weights(path);
  if (model::is_public_folder(path)) {
    print_public_folder(path);
    if (const auto sizes = sizes_of_public_folder(path)) print_sizes(*sizes);
  } else if (std::filesystem::is_directory(path)) {
    print_sizes(sizes_of_bundle(path));
  } else {
    print_sizes(model::model_sizes(model::ModelDescription::load(path)));
  }
}

}  // namespace

void add_info_model_command(CLI::App& info) {
  CLI::App* command = info.add_subcommand(
      "model", "layout, parameters, memory and FLOPs of a model, such as those in configs/model");
  const auto file = std::make_shared<std::string>();
  command->add_option("config", *file, "a YAML file that describes a model, a bundle, or an imported model")
      ->required();
  command->callback([file] { print_model(*file); });
}

}  // namespace omni::tools
