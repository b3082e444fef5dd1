#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "omni/core/config.h"
#include "omni/model/transformer.h"
#include "omni/nn/recomputation.h"
#include "omni/optimizer/adamw.h"
#include "omni/optimizer/group_rules.h"
#include "omni/optimizer/muon.h"
#include "omni/optimizer/parameter_average.h"
#include "omni/optimizer/schedule.h"
#include "omni/sequence/task.h"
#include "omni/tokenizers/tokenizer_set.h"

namespace omni::training {

// What ranks share out among themselves, each keeping a part.
enum class Sharding {
  none,       // nothing: each has all
  optimizer,  // what optimisers keep, and the fp32 of weights in another type
  full,       // that, and the weights and gradients of the blocks
};

// One stage of training, as its YAML file describes it. Stages differ in what they start from and in their
// tasks, not in their code.
struct StageConfig {
  std::string stage = "pretrain";  // see stage.h
  std::string output;              // folder of metrics, checkpoints and the final bundle
  std::int64_t seed = 1;

  // What the stage starts from: the bundle of an earlier stage; pretrain: of `omni init`, or tokenizers and a fresh model.
  std::string start_bundle;
  omni::tokenizers::TokenizerPaths tokenizers;
  // Pretrain: the folder of an imported CLIP or Qwen3, whose features texts that are conditions are shown as; empty: as tokens,
  // or as the start bundle is shown them.
  std::string text_tower;
  std::int64_t text_capacity = 0;  // longest text in tokens; 0: 48, or what the start bundle has
  model::TransformerConfig model;
  nn::LowRankConfig lora;  // finetune: adapters are trained in place of the weights, and merged at the end
  std::vector<std::string>
      freeze;  // parameters that are not trained, by name patterns: see core/name_pattern.h

  std::vector<std::string> shards;                      // folders of token shards
  std::vector<sequence::Task> custom_tasks;             // beside the built-in ones
  std::vector<std::pair<std::string, double>> mixture;  // task -> weight
  std::vector<std::pair<std::string, double>> replay;   // earlier tasks -> weight
  double replay_share = 0.3;  // of the whole mixture that the replayed tasks take, where `replay` names any
  std::string mixture_unit = "documents";  // documents, tokens
  double mixture_temperature = 1;
  double repeat_cap = 0;  // epochs per task at most; 0: no cap
  // Of texts, those that name every parameter, where an object has both kinds.
  double complete_caption_share = 0.5;
  double brief_caption_share = 0;  // of texts that are conditions, brief ones ("red chair")
  double input_noise = 0;          // mean share of generated codes that are shown wrong as input
  double control_noise = 0;        // the same for sizes, boxes and views
  double any_control_share = 0.1;  // of sizes, boxes and views, those replaced by <any>
  bool incomplete_objects =
      false;  // objects that lack some of what a task shows, too: see data::BatchOptions

  std::int64_t tokens_per_step = 8192;
  std::int64_t tokens_per_micro_batch = 8192;
  std::int64_t batches_per_step() const { return tokens_per_step / tokens_per_micro_batch; }
  std::int64_t steps = 1000;
  // 0: no limit; else the schedule follows whichever of steps and minutes is further along.
  double minutes = 0;

  optimizer::AdamWConfig adamw;
  optimizer::MuonConfig muon;              // for the matrices of the blocks; the rest stays with AdamW
  optimizer::GroupRules optimizer_groups;  // parameters that are optimised otherwise, by name
  optimizer::ScheduleConfig schedule;
  optimizer::AverageConfig ema;  // of the weights
  double clip_norm = 1.0;
  double z_loss = 1e-4;
  std::string softmax = "allowed";  // the tokens that compete at a position: allowed by the grammar, or full
  double text_loss_weight = 1, image_loss_weight = 1, shape_loss_weight = 1;
  // Vocabulary range -> factor on the loss of its tokens, inside their modality. A few colour codes beside
  // many geometry codes would hardly count.
  std::vector<std::pair<std::string, double>> range_loss_weights;
  double view_row_noise = 0.1;       // continue: noise of the new view rows, times the <any> row's magnitude
  std::int64_t view_rows_steps = 0;  // continue: steps in which the new rows alone are trained

  std::string precision = "bf16";          // fp32, bf16
  std::string device = "cpu";              // cpu, cuda
  bool deterministic = false;              // cuda: deterministic algorithms only
  std::string attention = "auto";          // see kernels::AttentionPath
  std::vector<std::string> fused_kernels;  // cuda: in place of the library's; see kernels::FusedKernels
  bool cuda_graphs = false;                // cuda: replay the passes of a micro-batch as one graph
  // On several ranks: none, optimizer or full, see Sharding; auto: optimizer. Full implies recompute.
  std::string sharding = "auto";
  bool recompute = false;  // run blocks again in the backward pass instead of keeping their activations
  std::int64_t recompute_every = 1;          // with recompute: of the blocks every so many-th alone
  std::vector<std::string> recompute_parts;  // swiglu, norms: of blocks that are not run again

  double checkpoint_minutes = 10;
  std::int64_t checkpoint_steps = 0;       // 0: by time alone
  std::int64_t checkpoints_kept = 2;       // the newest
  std::int64_t checkpoint_keep_every = 0;  // beside them those of every so many steps; 0: none
  std::int64_t log_steps = 10;

  // Losses on held-out objects, every so many steps (0: never) and at the end, of so many micro-batches.
  std::int64_t validation_steps = 0, validation_batches = 4;
  std::string validation_split = "new_instance";  // see data::Split
  // Tasks of earlier stages, of which the losses are told as they were before the first step and are at the end, on
  // so many micro-batches, too.
  std::vector<std::string> earlier_tasks;
  bool keep_best = false;  // a checkpoint of the lowest validation loss so far, beside the others
  // Samples of the present weights, every so many steps (0: never) and at the end: of so many held-out
  // objects, or for these texts instead.
  std::int64_t sample_steps = 0, samples = 4;
  std::vector<std::string> sample_prompts;
  // Of several ranks: how long all wait for one to come at the start and to a collective call, and after how
  // long without a sign of life one counts as lost.
  double start_minutes = 10, call_minutes = 10, silence_seconds = 30;
  double peak_tflops = 0;  // of a device, in 10^12 operations/s: metrics then tell the MFU; 0: not known
};
void describe(ConfigVisitor& visitor, StageConfig& config);
Sharding sharding_of(const StageConfig& config, int ranks);  // of one alone: none
nn::Recomputation recomputation_of(const StageConfig& config, int ranks);

// Reads and checks a stage's file; `stage` is the subcommand it is for. Relative paths stay relative to the
// working folder. Throws Error(usage) with file, line and key, Error(io).
StageConfig load_stage_config(const std::filesystem::path& path, const std::string& stage,
                              const std::vector<std::string>& overrides);

}  // namespace omni::training
