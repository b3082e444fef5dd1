#include "memory_advice.h"

#include "omni/core/error.h"

namespace omni::training {
namespace {

// After a key that makes whole blocks again: what the check of the config would refuse beside it.
std::string without_restrictions(const StageConfig& config) {
  const bool restricted = config.recompute_every > 1 || !config.recompute_parts.empty();
  return restricted ? ", without recompute_every and recompute_parts" : "";
}

std::string recompute_advice(const StageConfig& config, int ranks) {
  if (recomputation_of(config, ranks).every == 1) return "";
  return ", or set recompute: true" + without_restrictions(config);
}

std::string graph_advice(const StageConfig& config) {
  return config.cuda_graphs ? ", or set cuda_graphs: false (a graph keeps its activations beside those of "
                              "passes without it)"
                            : "";
}

std::string rank_advice(const StageConfig& config, int ranks) {
  if (config.sharding == "none") return "set sharding: optimizer";
  if (sharding_of(config, ranks) == Sharding::optimizer && !config.muon.enabled && !config.cuda_graphs)
    return "set sharding: full" + without_restrictions(config);
  return concat("train on more ranks than ", ranks, ", which share what the optimizer keeps");
}

}  // namespace

MemoryAdvice state_advice(const StageConfig& config, int ranks) {
  const char* part = "the weights, gradients and optimizer, before the first step";
  if (sharding_of(config, ranks) == Sharding::full)
    return {
        part,
        "Make the model smaller: every rank holds all of it in fp32 while a run starts, however many there "
        "are. --dry-run says what that takes"};
  return {part, concat("Make the model smaller, or ", rank_advice(config, ranks),
                       ". --dry-run says what each takes")};
}

MemoryAdvice passes_advice(const StageConfig& config, int ranks, std::int64_t step) {
  return {concat("the forward and backward passes of step ", step),
          concat("Lower tokens_per_micro_batch (", config.tokens_per_micro_batch, ")",
                 recompute_advice(config, ranks), graph_advice(config),
                 ". --dry-run says how much activations take")};
}

MemoryAdvice update_advice(const StageConfig& config, int ranks, std::int64_t step) {
  return {concat("the optimizer's update of step ", step),
          concat("Lower tokens_per_micro_batch (", config.tokens_per_micro_batch, "), or ",
                 rank_advice(config, ranks))};
}

MemoryAdvice end_advice() {
  return {
      "making the bundle, after the last step",
      "Every rank holds the whole model in fp32 then: go on with --resume on devices with more memory. The "
      "last checkpoint has the weights"};
}

}  // namespace omni::training
