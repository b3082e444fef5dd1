#include "stage_record.h"

#include <filesystem>

#include "omni/core/content_hash.h"
#include "omni/core/text_format.h"
#include "omni/model/bundle_content.h"
#include "omni/tokenizers/stored_tokenizer.h"
#include "run_output.h"

namespace omni::training {
namespace {

// Where a run lies, when it ends, what it logs, and on what it runs. All other keys decide what it learns.
const ChangeRules& stage_rules() {
  static const ChangeRules rules{.free = {"output",
                                          "steps",
                                          "minutes",
                                          "device",
                                          "deterministic",
                                          "attention",
                                          "fused_kernels",
                                          "cuda_graphs",
                                          "sharding",
                                          "recompute",
                                          "recompute_every",
                                          "recompute_parts",
                                          "checkpoint_minutes",
                                          "checkpoint_steps",
                                          "checkpoints_kept",
                                          "checkpoint_keep_every",
                                          "log_steps",
                                          "peak_tflops",
                                          "timeouts",
                                          "validation_steps",
                                          "keep_best",
                                          "sample_steps",
                                          "samples",
                                          "sample_prompts"},
                                 .fixed = {"stage", "tokenizers", "text_tower", "text_capacity", "model",
                                           "lora", "freeze", "muon.enabled"}};
  return rules;
}

}  // namespace

RunInputs stage_inputs(const StageConfig& config, std::uint64_t shards) {
  RunInputs inputs = {{"shards", hexadecimal(shards)}};
  const auto add = [&](const char* key, const std::string& path,
                       std::uint64_t (*fingerprint)(const std::filesystem::path&)) {
    // What a run started from may be gone once it has begun.
    if (!path.empty() && std::filesystem::exists(path)) inputs[key] = hexadecimal(fingerprint(path));
  };
  add("tokenizers.text", config.tokenizers.text, content_hash);
  add("tokenizers.image", config.tokenizers.image, tokenizers::folder_fingerprint);
  add("tokenizers.shape", config.tokenizers.shape, tokenizers::folder_fingerprint);
  add("text_tower", config.text_tower, content_hash);
  add("start_bundle", config.start_bundle, model::bundle_content_hash);
  return inputs;
}

void refuse_another_run(const StageConfig& config, const RunInputs& earlier, const RunInputs& now,
                        const std::vector<std::string>& allowed_changes) {
  refuse_changes(config.output, {values_of(recorded_config(config)), earlier}, {values_of(config), now},
                 stage_rules(), allowed_changes);
}

void refuse_other_adapters(const StageConfig& config) {
  const auto adapters_of = [](const StageConfig& c) {
    std::vector<ConfigValue> values = values_of(c);
    std::erase_if(values, [](const ConfigValue& value) { return !is_within(value.key, "lora"); });
    return RunRecord{.config = std::move(values), .inputs = {}};
  };
  refuse_changes(config.output, adapters_of(recorded_config(config)), adapters_of(config), stage_rules(), {});
}

}  // namespace omni::training
