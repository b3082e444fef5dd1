#include "dry_run.h"

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <optional>

#include "cube3d_stage.h"
#include "memory_fit.h"
#include "omni/core/error.h"
#include "omni/core/system_info.h"
#include "omni/model/training_cost.h"
#include "omni/nn/precision.h"
#include "omni/optimizer/groups.h"
#include "stage_data.h"
#include "stage_start.h"
#include "step_estimate.h"

namespace omni::training {
namespace {

double trained_elements(const nn::ParameterStore& parameters) {
  double count = 0;
  for (const nn::Parameter& parameter : parameters.all())
    if (parameter.trainable) count += static_cast<double>(parameter.value.numel());
  return count;
}

void print_fit(const std::string& who, double needed, double there) {
  std::printf("# %s: %.3f GB of %.3f GB: %s\n", who.c_str(), needed, there,
              needed <= there ? "it fits" : "it does not fit");
}

// The most that a rank with sharding: full takes outside the steps, in bytes; zeros where the model is not sharded so.
struct WholeModel {
  double starting =
      0;  // and ending: all of it in fp32, and another copy of a unit; the same on any number of ranks
  double sampling = 0;  // on rank 0, all blocks beside what it keeps; 0 without samples
  double blocks = 0;    // part of that which more ranks do not lower
  double most() const { return std::max(starting, sampling); }
};

// Of a store that was sealed, and what a rank keeps of it.
WholeModel whole_model(const StageConfig& config, const nn::ParameterStore& store, const MemoryParts& parts) {
  WholeModel whole;
  double largest = 0;
  for (const nn::ParameterUnit& unit : store.units()) {
    if (unit.is_fully_sharded()) whole.blocks += static_cast<double>(value_bytes(unit));
    largest = std::max(largest, static_cast<double>(gradient_bytes(unit)));
  }
  whole.starting = static_cast<double>(store.element_count()) * sizeof(float) + largest;
  if (config.sample_steps > 0)
    whole.sampling = parts.weights + parts.gradients + parts.masters + parts.moments + whole.blocks;
  return whole;
}

// What to do where it is more than `there`, a line each; more ranks count where `others_may_join`.
void print_whole_model_advice(const WholeModel& whole, double there, bool others_may_join) {
  if (whole.starting > there)
    std::printf(
        "# more ranks do not change what the whole model takes at the start and end: make it smaller\n");
  if (whole.sampling > there)
    std::printf(
        "# rank 0 samples with all blocks beside what it keeps: set sample_steps: 0%s\n",
        others_may_join && whole.blocks < there ? ", or start more ranks, which share what it keeps" : "");
}

void print_memory(const MemoryParts& parts, const WholeModel& whole, int ranks, const StageConfig& config,
                  double device_memory_gb) {
  const double needed = std::max(parts.sum(), whole.most()) / 1e9;
  double there = std::max(device_memory_gb, 0.0);  // of each rank's device; 0 where nobody knows
  if (there == 0 && config.device == "cuda") there = memory_for_rank(config, ranks) / 1e9;
  std::printf("# memory of %s: about %.3f GB\n%s",
              ranks == 1 ? "the one rank" : concat("each of ", ranks, " ranks").c_str(), needed,
              memory_table(parts, "#   ").c_str());
  if (whole.starting > 0)
    std::printf("#   the model whole, at the start and end: %.3f GB, not beside the step's\n",
                whole.starting / 1e9);
  if (whole.sampling > 0)
    std::printf("#   and while rank 0 samples: %.3f GB, not beside the step's\n", whole.sampling / 1e9);
  if (config.cuda_graphs)
    std::printf("#   half of the activations is the graph's for good, half of passes without it\n");
  if (there > 0)
    print_fit("each rank on its device", needed, there);
  else if (config.device == "cpu")
    print_fit("all ranks on this machine", ranks * needed, static_cast<double>(memory_bytes()) / 1e9);
  const double for_each = there > 0 ? 1e9 * there : memory_for_rank(config, ranks);
  if (for_each == 0 || 1e9 * needed <= for_each || Cube3dStage::starts_from(config)) return;
  const bool others_may_join = there > 0;  // more ranks on this host would not have more memory
  print_whole_model_advice(whole, for_each, others_may_join);
  if (whole.starting > for_each || parts.sum() <= for_each) return;
  std::printf("# %s\n", fitting_advice(config, ranks, for_each, others_may_join).c_str());
}

// Of a sealed store.
StepWork step_work(const StageConfig& config, const nn::ParameterStore& parameters, int ranks, double flops,
                   double forward_flops) {
  const auto blocks = std::count_if(
      parameters.units().begin(), parameters.units().end(),
      [](const nn::ParameterUnit& unit) { return unit.kind == nn::ParameterUnit::Kind::block; });
  StepWork work{.flops = flops,
                .forward_flops = forward_flops,
                .recomputed_share = recomputation_of(config, ranks).share_of_blocks(blocks),
                .micro_batches = config.batches_per_step(),
                .ranks = ranks,
                .sharding = sharding_of(config, ranks),
                .outside = {},
                .blocks = {},
                .beside_passes = !config.cuda_graphs};
  for (const nn::ParameterUnit& unit : parameters.units()) {
    const bool block = unit.kind == nn::ParameterUnit::Kind::block;
    work.block_count += block && !unit.sections.empty() ? 1 : 0;
    StepWork::Exchange& part = block ? work.blocks : work.outside;
    part.gradient_bytes += static_cast<double>(gradient_bytes(unit));
    part.value_bytes += static_cast<double>(value_bytes(unit));
    part.calls += static_cast<int>(unit.sections.size());
  }
  work.parameters = (work.outside.gradient_bytes + work.blocks.gradient_bytes) / sizeof(float);
  return work;
}

void print_time(const StepWork& work, double tokens, std::int64_t steps, const Accelerator& gpu) {
  const StepEstimate step = estimate_step(work, gpu);
  constexpr double kMilliseconds = 1e3;
  std::printf(
      "# a step on %d %s: about %.1f ms, at %.0f %% of the peak in the passes (see docs/scaling.md)\n"
      "#   forward and backward  %9.1f ms\n#   gradients             %9.1f ms\n"
      "#   weights               %9.1f ms\n#   of both not hidden    %9.1f ms\n"
      "#   optimizer             %9.1f ms\n",
      work.ranks, gpu.name.c_str(), kMilliseconds * step.total(), 100 * gpu.utilisation,
      kMilliseconds * step.compute, kMilliseconds * step.reduction, kMilliseconds * step.gathering,
      kMilliseconds * step.unhidden, kMilliseconds * step.update);
  std::printf("# %.0f tokens/s, %.1f %% of the peak; %lld steps: %.1f days\n", tokens / step.total(),
              100 * work.flops / (step.total() * work.ranks * 1e12 * gpu.peak_tflops),
              static_cast<long long>(steps), static_cast<double>(steps) * step.total() / 86400);
}

}  // namespace

MemoryParts expected_memory(const StageConfig& config, const model::Bundle& bundle, int ranks) {
  nn::ParameterStore& store = bundle.transformer->parameters();
  nn::ParameterSeal seal{.matrix_type = nn::precision_type(config.precision)};
  const Sharding sharding = sharding_of(config, ranks);
  if (sharding != Sharding::none) seal.ranks = ranks;
  seal.fully = sharding == Sharding::full;
  optimizer::seal_for(store, config.adamw, config.muon, seal, config.optimizer_groups);
  MemoryParts parts = memory_of(store);
  parts.gathered = gathered_bytes(store);
  if (bundle.text_tower && config.device == "cpu")
    parts.text_tower = static_cast<double>(bundle.text_tower->bytes());
  for (const nn::ParameterUnit& unit : store.units()) {
    for (const nn::ParameterSection& section : unit.sections) {
      const int moments = optimizer::group_of(section) == optimizer::Group::orthogonal ? 1 : 2;
      const int averages = config.ema.decay > 0 ? 1 : 0;
      parts.moments += (moments + averages) * static_cast<double>(section.owned.count * sizeof(float));
    }
  }
  return parts;
}

void print_dry_run(const StageConfig& config, const TrainerOptions& options) {
  const int ranks = options.ranks;
  std::optional<Accelerator> gpu;
  if (!options.gpu.empty()) gpu = find_accelerator(options.gpu);
  require_batch_for_each_rank(config, ranks);
  std::optional<Cube3dStage> cube3d;
  if (Cube3dStage::starts_from(config)) cube3d.emplace(config, /*estimated=*/true);
  const model::Bundle bundle = cube3d ? cube3d->shapes() : estimated_bundle(config);
  model::Transformer& transformer = *bundle.transformer;
  freeze_parameters(config, transformer.parameters());
  require_recomputed_blocks(config, transformer.parameters());
  transformer.set_activation_type(nn::precision_type(config.precision));
  const auto missing =
      std::find_if(config.shards.begin(), config.shards.end(),
                   [](const std::string& folder) { return !std::filesystem::exists(folder); });
  const bool has_shards = missing == config.shards.end();
  const model::PrepareOptions prepare{.full_softmax = config.softmax == "full"};
  double flops = 0, forward_flops = 0, tokens = 0, activation_bytes = 0;
  if (cube3d && !has_shards)
    fail(ErrorKind::io, "there are no shards in '", *missing, "' yet. Make them with `omni data tokenize`");
  const DocumentForm form = cube3d ? cube3d->form() : DocumentForm::of(config, bundle);
  for (const sequence::PackedSequence& batch :
       has_shards ? StageData(config, bundle, form, 0, ranks).step(0) : longest_step(config, bundle)) {
    const model::TrainingFlops own = model::training_flops(transformer, batch, prepare);
    flops += own.total();
    forward_flops += own.forward;
    activation_bytes =
        std::max(activation_bytes,
                 model::activation_bytes(transformer, batch, recomputation_of(config, ranks), prepare));
    tokens += static_cast<double>(batch.length());
  }
  StageConfig shown = config;
  std::cout << config_to_yaml([&](ConfigVisitor& visitor) { describe(visitor, shown); });
  if (!has_shards)
    std::cout << "# of documents at full length, for there are no shards in '" << *missing << "' yet:\n";
  std::printf("# parameters: %.3f million",
              static_cast<double>(transformer.parameters().element_count()) / 1e6);
  if (const double trained = trained_elements(transformer.parameters());
      !config.freeze.empty() || config.lora.rank > 0)
    std::printf(", %.3f million of them trained", trained / 1e6);
  std::printf("\n# FLOPs per step: %.3g\n", flops);
  MemoryParts parts = expected_memory(config, bundle, ranks);
  parts.activations = bytes_of_passes(config, activation_bytes);
  double device_memory_gb = options.device_memory_gb;
  if (device_memory_gb == 0 && gpu) device_memory_gb = gpu->memory_gb;
  const WholeModel whole = sharding_of(config, ranks) == Sharding::full
                               ? whole_model(config, transformer.parameters(), parts)
                               : WholeModel{};
  print_memory(parts, whole, ranks, config, device_memory_gb);
  if (gpu)
    print_time(step_work(config, transformer.parameters(), ranks, flops, forward_flops), tokens, config.steps,
               *gpu);
}

}  // namespace omni::training
