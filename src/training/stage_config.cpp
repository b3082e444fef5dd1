#include "omni/training/stage_config.h"

#include <algorithm>

#include "omni/core/error.h"
#include "omni/data/object_source.h"
#include "omni/kernels/fused_kernels.h"
#include "omni/sequence/segment_parts.h"
#include "omni/training/stage.h"

namespace omni::training {
namespace {

constexpr const char *kSwigluPart = "swiglu", *kNormsPart = "norms";

void describe_start(ConfigVisitor& v, StageConfig& c) {
  v.text("start_bundle", c.start_bundle);
  v.section("tokenizers", [&](ConfigVisitor& s) { tokenizers::describe(s, c.tokenizers); });
  v.added_later(c.text_tower.empty(), [&](ConfigVisitor& later) { later.text("text_tower", c.text_tower); });
  v.integer("text_capacity", c.text_capacity, {0, 4096});
  v.section("model", [&](ConfigVisitor& s) { model::describe(s, c.model); });
  v.added_later(c.lora.rank == 0, [&](ConfigVisitor& later) {
    later.section("lora", [&](ConfigVisitor& s) { nn::describe(s, c.lora); });
  });
  v.added_later(c.freeze.empty(), [&](ConfigVisitor& later) { later.texts("freeze", c.freeze); });
}

std::vector<std::string> known_tasks(const StageConfig& config) {
  std::vector<std::string> names = sequence::built_in_task_names();
  for (const sequence::Task& task : config.custom_tasks) names.push_back(task.name);
  return names;
}

void describe_data(ConfigVisitor& v, StageConfig& c) {
  v.texts("shards", c.shards);
  v.list(
      "tasks", c.custom_tasks.size(), [&](std::size_t n) { c.custom_tasks.resize(n); },
      [&](ConfigVisitor& item, std::size_t i) { sequence::describe(item, c.custom_tasks[i]); });
  const std::vector<std::string> tasks = known_tasks(c);
  v.named_numbers("mixture", c.mixture, {.minimum = 0}, tasks);
  v.named_numbers("replay", c.replay, {.minimum = 0}, tasks);
  v.number("replay_share", c.replay_share, {0, 0.99});
  v.choice("mixture_unit", c.mixture_unit, {"documents", "tokens"});
  v.number("mixture_temperature", c.mixture_temperature, {0.01, 100});
  v.number("repeat_cap", c.repeat_cap, {.minimum = 0});
  v.number("complete_caption_share", c.complete_caption_share, {0, 1});
  v.added_later(c.brief_caption_share == 0, [&](ConfigVisitor& later) {
    later.number("brief_caption_share", c.brief_caption_share, {0, 1});
  });
  v.number("input_noise", c.input_noise, {0, 0.5});
  v.number("control_noise", c.control_noise, {0, 0.5});
  v.number("any_control_share", c.any_control_share, {0, 1});
  v.added_later(!c.incomplete_objects,
                [&](ConfigVisitor& later) { later.flag("incomplete_objects", c.incomplete_objects); });
}

void describe_steps(ConfigVisitor& v, StageConfig& c) {
  v.integer("tokens_per_step", c.tokens_per_step, {64, 1e9});
  v.integer("tokens_per_micro_batch", c.tokens_per_micro_batch, {64, 1e9});
  v.integer("steps", c.steps, {1, 1e12});
  v.number("minutes", c.minutes, {.minimum = 0});
  v.section("adamw", [&](ConfigVisitor& s) { optimizer::describe(s, c.adamw); });
  v.section("muon", [&](ConfigVisitor& s) { optimizer::describe(s, c.muon); });
  v.added_later(c.optimizer_groups.empty(), [&](ConfigVisitor& later) {
    later.list(
        "optimizer_groups", c.optimizer_groups.size(), [&](std::size_t n) { c.optimizer_groups.resize(n); },
        [&](ConfigVisitor& item, std::size_t i) { optimizer::describe(item, c.optimizer_groups[i]); });
  });
  v.section("schedule", [&](ConfigVisitor& s) { optimizer::describe(s, c.schedule); });
  v.added_later(c.ema.decay == 0, [&](ConfigVisitor& later) {
    later.section("ema", [&](ConfigVisitor& s) { optimizer::describe(s, c.ema); });
  });
  v.number("clip_norm", c.clip_norm, {.minimum = 0});
  v.number("z_loss", c.z_loss, {.minimum = 0});
  v.choice("softmax", c.softmax, {"allowed", "full"});
  v.section("loss_weights", [&](ConfigVisitor& s) {
    s.number("text", c.text_loss_weight, {.minimum = 0});
    s.number("image", c.image_loss_weight, {.minimum = 0});
    s.number("shape", c.shape_loss_weight, {.minimum = 0});
  });
  v.named_numbers("range_loss_weights", c.range_loss_weights, {.minimum = 0}, sequence::part_range_names());
  v.number("view_row_noise", c.view_row_noise, {0, 10});
  v.integer("view_rows_steps", c.view_rows_steps, {.minimum = 0});
}

std::vector<std::string> held_out_splits() {
  std::vector<std::string> names = data::split_names();
  std::erase(names, data::split_name(data::Split::train));
  return names;
}

void describe_running(ConfigVisitor& v, StageConfig& c) {
  v.choice("precision", c.precision, {"fp32", "bf16"});
  v.choice("device", c.device, {"cpu", "cuda"});
  v.choice("attention", c.attention,
           {"auto", "kernel", "library", "reference", "hopper", "cudnn", "automatic"});
  if (c.attention == "automatic") c.attention = "auto";  // as runs wrote it before
  v.added_later(c.fused_kernels.empty(), [&](ConfigVisitor& later) {
    later.texts("fused_kernels", c.fused_kernels, kernels::FusedKernels::names());
  });
  v.added_later(!c.cuda_graphs, [&](ConfigVisitor& later) { later.flag("cuda_graphs", c.cuda_graphs); });
  v.flag("deterministic", c.deterministic);
  v.choice("sharding", c.sharding, {"auto", "none", "optimizer", "full"});
  v.flag("recompute", c.recompute);
  v.added_later(c.recompute_every == 1, [&](ConfigVisitor& later) {
    later.integer("recompute_every", c.recompute_every, {1, 1000});
  });
  v.added_later(c.recompute_parts.empty(),
                [&](ConfigVisitor& later) { later.texts("recompute_parts", c.recompute_parts); });
  v.number("checkpoint_minutes", c.checkpoint_minutes, {.minimum = 0.01});
  v.integer("checkpoint_steps", c.checkpoint_steps, {.minimum = 0});
  v.integer("checkpoints_kept", c.checkpoints_kept, {1, 1e6});
  v.integer("checkpoint_keep_every", c.checkpoint_keep_every, {.minimum = 0});
  v.integer("log_steps", c.log_steps, {1, 1e6});
  v.integer("validation_steps", c.validation_steps, {.minimum = 0});
  v.integer("validation_batches", c.validation_batches, {1, 1e6});
  v.choice("validation_split", c.validation_split, held_out_splits());
  v.flag("keep_best", c.keep_best);
  v.added_later(c.earlier_tasks.empty(),
                [&](ConfigVisitor& later) { later.texts("earlier_tasks", c.earlier_tasks); });
  v.integer("sample_steps", c.sample_steps, {.minimum = 0});
  v.integer("samples", c.samples, {1, 1000});
  v.texts("sample_prompts", c.sample_prompts);
  v.number("peak_tflops", c.peak_tflops, {0, 1e9});
  v.section("timeouts", [&](ConfigVisitor& s) {
    s.number("start_minutes", c.start_minutes, {0.01, 1e5});
    s.number("call_minutes", c.call_minutes, {0.01, 1e5});
    s.number("silence_seconds", c.silence_seconds, {2, 1e6});
  });
}

bool describes_a_model(const StageConfig& config) {
  const auto text = [](model::TransformerConfig model) {
    return config_to_yaml([&](ConfigVisitor& visitor) { model::describe(visitor, model); });
  };
  return text(config.model) != text({});
}

// What ranks share, and what the backward pass makes again.
void check_memory_keys(const StageConfig& c, const std::string& name) {
  const auto refuse = [&](const auto&... what) { fail(ErrorKind::usage, name, ": ", what...); };
  for (const std::string& part : c.recompute_parts)
    if (part != kSwigluPart && part != kNormsPart)
      refuse("'recompute_parts' has '", part, "'. There are ", kSwigluPart, " and ", kNormsPart);
  if (c.recompute_every > 1 && !c.recompute)
    refuse("'recompute_every' needs 'recompute: true', which it restricts to some of the blocks");
  if (!c.recompute_parts.empty() && c.recompute && c.recompute_every == 1)
    refuse("'recompute: true' makes whole blocks again, so 'recompute_parts' has nothing left. Leave it out");
  if (c.sharding != "full") return;
  if (c.muon.enabled)
    refuse(
        "'sharding: full' divides matrices among the ranks, and 'muon', which makes them orthogonal, wants each "
        "whole. Set sharding: optimizer, or muon.enabled: false");
  if (c.recompute_every > 1 || !c.recompute_parts.empty())
    refuse(
        "'sharding: full' makes every block again in the backward pass, so 'recompute_every' and "
        "'recompute_parts' have nothing left. Leave them out, or set sharding: optimizer");
}

// A graph replays passes of one shape, by kernels that read all they need on the device.
void check_graphs(const StageConfig& c, const std::string& name) {
  if (!c.cuda_graphs) return;
  const auto refuse = [&](const auto&... what) {
    fail(ErrorKind::usage, name, ": 'cuda_graphs: true' ", what..., ", or cuda_graphs: false");
  };
  constexpr std::int64_t kMultiple = model::BatchCapacity::kRowMultiple;
  const std::int64_t tokens = c.tokens_per_micro_batch, below = tokens / kMultiple * kMultiple;
  if (c.device != "cuda") refuse("is for a GPU, and this run is on '", c.device, "'. Set device: cuda");
  if (tokens % kMultiple != 0)
    refuse("replays passes of one length, a multiple of ", kMultiple,
           ", and those of 'tokens_per_micro_batch' (", tokens,
           ") vary in length. Set tokens_per_micro_batch: ", below + kMultiple,
           below > 0 ? concat(" or ", below) : "");
  if (c.precision != "bf16")
    refuse("needs the attention kernel, which is for bf16, and 'precision' is ", c.precision,
           ". Set precision: bf16");
  if (c.attention != "auto" && c.attention != "kernel")
    refuse("needs the attention kernel, for the path '", c.attention,
           "' goes by each batch's documents on the host. Set attention: auto");
  if (c.sharding == "full")
    refuse(
        "replays passes as they were recorded, and 'sharding: full' gathers weights within them. Set sharding: "
        "optimizer");
}

void check(const StageConfig& c, const std::string& name) {
  const auto refuse = [&](const auto&... what) { fail(ErrorKind::usage, name, ": ", what...); };
  check_memory_keys(c, name);
  check_graphs(c, name);
  if (c.output.empty()) refuse("'output' is missing. Name the folder for checkpoints and metrics");
  if (c.shards.empty()) refuse("'shards' is missing. Name the folders that 'omni data tokenize' wrote");
  if (c.mixture.empty()) refuse("'mixture' is missing. Name at least one task, such as 'text->shape: 1'");
  if (std::none_of(c.mixture.begin(), c.mixture.end(), [](const auto& item) { return item.second > 0; })) {
    refuse("'mixture' gives every task the weight 0");
  }
  if (c.text_loss_weight == 0 && c.image_loss_weight == 0 && c.shape_loss_weight == 0)
    refuse("'loss_weights' gives every kind of tokens the weight 0, so that nothing would be learnt");
  if (find_stage(c.stage).starts_fresh) {
    if (c.start_bundle.empty() && c.tokenizers.text.empty() && c.text_tower.empty())
      refuse("'tokenizers.text' is missing");
    if (!c.tokenizers.text.empty() && !c.text_tower.empty())
      refuse("'text_tower' has a tokenizer of its own, whose tokens texts are. Leave 'tokenizers.text' out");
    if (c.start_bundle.empty() && !c.model.features.empty())
      refuse(
          "'model.features' follows from 'text_tower', the folder of a CLIP or a Qwen3 that is imported. Name that "
          "and leave it out");
  } else if (c.start_bundle.empty()) {
    refuse("'start_bundle' is missing. Name the bundle of the stage before, such as out/pretrain/bundle");
  }
  if (!find_stage(c.stage).starts_fresh && !c.text_tower.empty())
    refuse(
        "'text_tower' is for pretraining; this run reads texts as the bundle 'start_bundle' does. Leave it out");
  if (!c.fused_kernels.empty() && c.device != "cuda")
    refuse("'fused_kernels' are for device: cuda; the processor has its own. Leave it out");
  if (!c.start_bundle.empty() && describes_a_model(c))
    refuse("'model' is for pretraining from fresh weights; this run takes the model of 'start_bundle'");
  if (!c.start_bundle.empty() && !c.tokenizers.empty())
    refuse(
        "'tokenizers' is for pretraining from fresh weights; this run takes the tokenizers of 'start_bundle'");
  if (c.lora.rank > 0 && c.stage != "finetune")
    refuse("'lora' is for finetune; the stages before it train new rows of the vocabulary");
  if (c.lora.rank == 0 && !(c.lora == nn::LowRankConfig{}))
    refuse("'lora' has no rank. Set lora.rank, such as 8");
  if (c.lora.rank > 0 && c.lora.layers.empty())
    refuse("'lora.layers' chooses no layer. Name some, such as '*.qkv', or leave it out for all");
  if (!c.freeze.empty() && c.view_rows_steps > 0)
    refuse("'freeze' and 'view_rows_steps', which freezes all but the new rows, exclude each other");
  if (c.replay_share != StageConfig{}.replay_share && c.replay.empty())
    refuse("'replay_share' is set but 'replay' names no task");
  if (c.schedule.shape == "warmup_stable_decay" && c.schedule.warmup_share + c.schedule.decay_share > 1)
    refuse("'schedule.warmup_share' (", c.schedule.warmup_share, ") and 'schedule.decay_share' (",
           c.schedule.decay_share, ") are together more than the whole run");
  if (c.ema.decay == 0 && c.ema.bundle) refuse("'ema.bundle' needs 'ema.decay', such as 0.999");
  if (c.keep_best && c.validation_steps == 0)
    refuse("'keep_best' needs 'validation_steps', which says when to measure");
  if (!c.sample_prompts.empty() && c.sample_steps == 0)
    refuse("'sample_prompts' needs 'sample_steps', which says when to sample");
  if (c.tokens_per_step % c.tokens_per_micro_batch != 0) {
    refuse("'tokens_per_step' (", c.tokens_per_step, ") must be a multiple of 'tokens_per_micro_batch' (",
           c.tokens_per_micro_batch, ")");
  }
}

}  // namespace

void describe(ConfigVisitor& v, StageConfig& c) {
  std::vector<std::string> names;
  for (const Stage& stage : stages()) names.emplace_back(stage.name);
  v.choice("stage", c.stage, names);
  v.text("output", c.output);
  v.integer("seed", c.seed, {.minimum = 0});
  describe_start(v, c);
  describe_data(v, c);
  describe_steps(v, c);
  describe_running(v, c);
}

Sharding sharding_of(const StageConfig& config, int ranks) {
  if (ranks == 1 || config.sharding == "none") return Sharding::none;
  return config.sharding == "full" ? Sharding::full : Sharding::optimizer;
}

nn::Recomputation recomputation_of(const StageConfig& config, int ranks) {
  if (sharding_of(config, ranks) == Sharding::full) return true;
  const auto has = [&](const char* part) {
    return std::find(config.recompute_parts.begin(), config.recompute_parts.end(), part) !=
           config.recompute_parts.end();
  };
  return {config.recompute ? config.recompute_every : 0, has(kSwigluPart), has(kNormsPart)};
}

StageConfig load_stage_config(const std::filesystem::path& path, const std::string& stage,
                              const std::vector<std::string>& overrides) {
  StageConfig config;
  config.stage = stage;
  ConfigFile::load(path, overrides).read([&](ConfigVisitor& visitor) { describe(visitor, config); });
  if (config.stage != stage) {
    fail(ErrorKind::usage, path.string(), ": this file is for 'omni ", config.stage, "', not for 'omni ",
         stage, "'");
  }
  check(config, path.string());
  if (!find_stage(stage).starts_fresh) return config;
  try {
    model::validate(config.model);
  } catch (const Error& error) {
    fail(error.kind(), path.string(), ": ", error.what());
  }
  return config;
}

}  // namespace omni::training
