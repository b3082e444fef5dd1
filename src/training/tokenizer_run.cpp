#include "tokenizer_run.h"

#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/log.h"
#include "omni/core/run_metrics.h"
#include "omni/kernels/cpu_memory.h"
#include "omni/optimizer/groups.h"
#include "tokenizer_loop.h"

namespace omni::training {
namespace {

namespace fs = std::filesystem;

constexpr const char* kWeights = "weights.safetensors";  // every tokenizer's folder holds them

// "out/x/" and "out/x" are one folder.
fs::path plain(const fs::path& output) {
  const fs::path target = fs::absolute(output).lexically_normal();
  return target.has_filename() ? target : target.parent_path();
}

fs::path with_ending(fs::path folder, const char* ending) { return folder += ending; }

}  // namespace

TokenizerRun::TokenizerRun(std::string title, const fs::path& output, RunOptions options)
    : title_(std::move(title)),
      folder_(plain(output)),
      options_(std::move(options)),
      lock_(beside(".lock"), concat("training the ", title_, " '", output.string(), "'")) {
  kernels::keep_freed_memory();
  prepare_output_directory(folder_.parent_path());
  require_replaceable(folder_, kWeights);
  const fs::path checkpoint = beside(".checkpoint.safetensors");
  EarlierRun earlier{.output = output, .finished = fs::exists(folder_ / kWeights), .checkpoint = {}};
  if (fs::exists(checkpoint)) earlier.checkpoint = checkpoint;
  resumes_ = goes_on(earlier, options_.resume);
}

fs::path TokenizerRun::beside(const char* ending) const { return with_ending(folder_, ending); }

void TokenizerRun::check_record(const TokenizerRunSettings& settings) const {
  const fs::path checkpoint = beside(".checkpoint.safetensors");
  const TokenizerRunRecord stored = load_tokenizer_record(checkpoint);
  std::vector<ConfigValue> config;
  try {
    config = settings.read_config(stored.yaml);
  } catch (const Error& error) {
    fail(ErrorKind::input, "reading the checkpoint '", checkpoint.string(), "': ", error.what(),
         ". It is damaged or from another version; remove it to start anew");
  }
  refuse_changes(folder_.string(), {config, stored.inputs},
                 {settings.read_config(settings.record.yaml), settings.record.inputs}, settings.rules,
                 options_.allowed_changes);
}

// Those of a finished run lie in its folder, which the end of this one replaces.
void TokenizerRun::begin_metrics(std::int64_t steps_done) const {
  const fs::path metrics = beside(".metrics.jsonl"), earlier = folder_ / "metrics.jsonl";
  if (resumes_ && !fs::exists(metrics) && fs::exists(earlier)) fs::copy_file(earlier, metrics);
  keep_metrics_until(metrics, steps_done);
}

TokenizerTrainingSummary TokenizerRun::train(const TokenizerRunSettings& settings,
                                             TokenizerLearner& learner) {
  optimizer::seal_for(learner.parameters(), settings.adamw);
  optimizer::AdamW optimizer(learner.parameters(), settings.adamw);
  TokenizerTrainingState state;
  const fs::path checkpoint = beside(".checkpoint.safetensors"), metrics = beside(".metrics.jsonl");
  if (resumes_) {
    check_record(settings);
    state = load_tokenizer_checkpoint(checkpoint, learner, optimizer);
    log_info("resuming from '", checkpoint.string(), "' at step ", state.step);
  }
  begin_metrics(state.step);
  const bool was_finished = resumes_ && settings.budget.progress(state.step, state.seconds) >= 1;
  if (!was_finished) TokenizerLoop(title_, settings, learner, optimizer, state).run(metrics, checkpoint);
  learner.save(folder_);
  std::error_code ignored;  // the tokenizer is whole; what lies beside it may stay
  fs::rename(metrics, folder_ / "metrics.jsonl", ignored);
  return {state.step, state.seconds, was_finished};
}

}  // namespace omni::training
