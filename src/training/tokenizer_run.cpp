#include "tokenizer_run.h"

#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/log.h"
#include "omni/core/run_metrics.h"
#include "omni/optimizer/groups.h"
#include "rank_start.h"
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

TokenizerRun::TokenizerRun(std::string title, const fs::path& output, RunOptions options,
                           distributed::Ranks& ranks, at::Device device)
    : title_(std::move(title)),
      folder_(plain(output)),
      options_(std::move(options)),
      ranks_(ranks),
      device_(device) {
  if (is_first()) {
    lock_.emplace(beside(".lock"), concat("training the ", title_, " '", output.string(), "'"));
    prepare_output_directory(folder_.parent_path());
    require_replaceable(folder_, kWeights);
    const fs::path checkpoint = beside(".checkpoint.safetensors");
    EarlierRun earlier{.output = output, .finished = fs::exists(folder_ / kWeights), .checkpoint = {}};
    if (fs::exists(checkpoint)) earlier.checkpoint = checkpoint;
    resumes_ = goes_on(earlier, options_.resume);
  }
  resumes_ = !text_of_first_rank(resumes_ ? "resumes" : "", ranks.collectives(), device).empty();
}

fs::path TokenizerRun::beside(const char* ending) const { return with_ending(folder_, ending); }

void TokenizerRun::compare_ranks(const TokenizerRunSettings& settings) const {
  std::vector<distributed::Fingerprint> mine;
  for (const ConfigValue& value : settings.read_config(settings.record.yaml))
    mine.push_back({value.key, value.text});
  for (const auto& [key, fingerprint] : settings.record.inputs)
    mine.push_back({concat("content of ", key), fingerprint});
  ranks_.compare(mine);
}

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

TokenizerTrainingSummary TokenizerRun::train(const TokenizerRunSettings& settings, const BatchShare& share,
                                             TokenizerLearner& learner) {
  compare_ranks(settings);
  learner.parameters().to(device_);
  for (const auto& [name, quantiser] : learner.quantisers()) quantiser->share(share.vectors());
  optimizer::seal_for(learner.parameters(), settings.adamw);
  optimizer::AdamW optimizer(learner.parameters(), settings.adamw);
  TokenizerTrainingState state;
  const fs::path checkpoint = beside(".checkpoint.safetensors"), metrics = beside(".metrics.jsonl");
  if (resumes_) {
    check_record(settings);
    state = load_tokenizer_checkpoint(checkpoint, learner, optimizer);
    if (is_first()) log_info("resuming from '", checkpoint.string(), "' at step ", state.step);
  }
  if (is_first()) begin_metrics(state.step);
  const bool was_finished = resumes_ && settings.budget.progress(state.step, state.seconds) >= 1;
  if (!was_finished) {
    TokenizerLoop loop({title_, folder_, metrics, checkpoint}, settings, share, learner, optimizer, state,
                       ranks_.collectives(), device_);
    loop.run();
  }
  if (is_first()) {
    learner.save(folder_);
    std::error_code ignored;  // the tokenizer is whole; what lies beside it may stay
    fs::rename(metrics, folder_ / "metrics.jsonl", ignored);
  }
  ranks_.collectives().barrier();  // nobody has ended well before the folder is there
  return {state.step, state.seconds, was_finished};
}

}  // namespace omni::training
