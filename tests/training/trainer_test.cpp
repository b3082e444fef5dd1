#include "omni/training/trainer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "caption_world.h"
#include "omni/checkpoint/reader.h"
#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/json_text.h"
#include "omni/core/run_lock.h"
#include "omni/kernels/cuda_plugin.h"
#include "omni/model/bundle.h"
#include "stage_data.h"
#include "stage_start.h"

namespace omni::training {
namespace {

const TrainerOptions kResumed{.run = {.resume = Resume::yes, .allowed_changes = {}}, .dry_run = false};

class TrainerTest : public CaptionWorld {
 protected:
  std::ptrdiff_t event_files(const std::string& output) const {
    return std::ranges::count_if(files_below(folder_.path() / output), [](const auto& path) {
      return path.filename().string().starts_with("events.out.tfevents.");
    });
  }
};

TEST_F(TrainerTest, LearnsAndLeavesABundleAndMetrics) {
  StageConfig c = config("run");
  c.steps = 60;
  const TrainingSummary summary = run_stage(c, {});
  EXPECT_EQ(summary.steps, 60);
  // Four captions are known by heart after sixty steps: far below the ln(256) of a guess.
  EXPECT_LT(summary.loss, 1.5);
  EXPECT_TRUE(std::filesystem::exists(summary.bundle / "bundle.yaml"));
  const std::string metrics = read_file_text(folder_.path() / "run" / "metrics.jsonl");
  EXPECT_EQ(std::count(metrics.begin(), metrics.end(), '\n'), 60);
  EXPECT_THAT(metrics, testing::HasSubstr("\"loss_text\""));
  EXPECT_THAT(metrics, testing::HasSubstr("\"loss captions\""));
  EXPECT_EQ(event_files("run"), 1);
  run_stage(c, kResumed);  // There is nothing to do, so nothing to see.
  EXPECT_EQ(event_files("run"), 1);
}

// Forward and backward passes take six operations for each weight of the block that a token meets, and some for
// attention and the vocabulary, which are less than as many again for each token and parameter that there is.
TEST_F(TrainerTest, TellsTheUtilisationOfAKnownPeak) {
  StageConfig c = config("run");
  c.steps = 3;
  c.peak_tflops = 1e-3;
  const TrainingSummary summary = run_stage(c, {});
  const model::Bundle bundle = model::load_bundle(summary.bundle);
  double block_weights = 0;
  for (const nn::Parameter& parameter : bundle.transformer->parameters().all())
    if (parameter.unit == 1 && parameter.value.dim() == 2)
      block_weights += static_cast<double>(parameter.value.numel());
  EXPECT_GT(block_weights, 4 * 32 * 32);
  for (const nlohmann::json& line : test::metric_lines(folder_.path() / "run" / "metrics.jsonl")) {
    const double per_token =
        1e9 * line.at("mfu").get<double>() / line.at("tokens_per_second_per_device").get<double>();
    EXPECT_GT(per_token, 6 * block_weights);
    EXPECT_LT(per_token, 12 * static_cast<double>(bundle.transformer->parameters().element_count()));
  }
}

struct Resumption {
  std::string precision;
  bool muon;
  double dropout = 0;
};
class TrainerResumption : public TrainerTest, public testing::WithParamInterface<Resumption> {};
INSTANTIATE_TEST_SUITE_P(Kinds, TrainerResumption,
                         testing::Values(Resumption{"fp32", false}, Resumption{"bf16", false},
                                         Resumption{"bf16", true}, Resumption{"fp32", false, 0.2}),
                         [](const auto& info) {
                           return info.param.precision + (info.param.muon ? "_muon" : "") +
                                  (info.param.dropout > 0 ? "_dropout" : "");
                         });

// Weights, moments, and each line of the metrics but for times.
TEST_P(TrainerResumption, AResumedRunIsTheUndisturbedOneBitForBit) {
  StageConfig uninterrupted = config("whole");
  uninterrupted.precision = GetParam().precision;
  uninterrupted.muon.enabled = GetParam().muon;
  uninterrupted.model.dropout = GetParam().dropout;
  uninterrupted.log_steps = 4;  // of which one is unfinished at step 5
  const TrainingSummary whole = run_stage(uninterrupted, {});
  StageConfig part = uninterrupted;
  part.output = (folder_ / "part").string();
  part.checkpoint_steps = 5;
  part.checkpoints_kept = 9;
  run_stage(part, {});
  forget_after(part, 5);
  const auto remains = folder_.path() / "part" / "checkpoints" / "step-00000010.1.0.tmp";
  std::filesystem::create_directories(remains);
  const TrainingSummary resumed = run_stage(part, kResumed);
  EXPECT_EQ(resumed.steps, 12);
  EXPECT_EQ(resumed.tokens, whole.tokens);
  EXPECT_FALSE(std::filesystem::exists(remains));
  EXPECT_EQ(read_file_bytes(whole.bundle / "model.safetensors"),
            read_file_bytes(resumed.bundle / "model.safetensors"));
  EXPECT_EQ(last_shard("whole"), last_shard("part"));
  EXPECT_EQ(timeless_metrics("whole"), timeless_metrics("part"));
  EXPECT_EQ(timeless_metrics("part").size(), 3u);
}

TEST_F(TrainerTest, RefusesAKernelThatCannotRunBeforeTheOutputIsMade) {
  StageConfig c = config("refused");
  c.attention = "kernel";
  c.model.width = 24 * c.model.heads;
  EXPECT_THROW(run_stage(c, {}), Error);
  EXPECT_FALSE(std::filesystem::exists(c.output));
}

// Each change that would make another run is named by its key; --allow-change lets all pass but what the
// checkpoint holds.
TEST_F(TrainerTest, ResumingRefusesAnotherRun) {
  StageConfig c = config("run");
  run_stage(c, {});
  c.steps = 13;
  const auto refusal = [&](const StageConfig& changed, std::vector<std::string> allowed = {}) -> std::string {
    try {
      run_stage(changed, {.run = {.resume = Resume::yes, .allowed_changes = std::move(allowed)}});
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage);
      return error.what();
    }
    return "";
  };
  StageConfig changed = c;
  changed.seed = 2;
  changed.mixture = {{"captions", 2}};
  changed.tokens_per_step = 256;
  changed.schedule.peak_learning_rate = 1e-3;
  const std::string all = refusal(changed);
  EXPECT_THAT(all, testing::HasSubstr("another config: seed was 1 and is 2"));
  EXPECT_THAT(all, testing::HasSubstr("mixture was {captions: 1} and is {captions: 2}"));
  EXPECT_THAT(all, testing::HasSubstr("tokens_per_step was 128 and is 256"));
  EXPECT_THAT(all, testing::HasSubstr("--allow-change schedule.peak_learning_rate"));
  EXPECT_THAT(refusal(changed, {"seed", "mixture", "schedule"}), testing::Not(testing::HasSubstr("seed")));
  EXPECT_THAT(refusal(changed, {"sead"}), testing::HasSubstr("Did you mean 'seed'"));
  EXPECT_THAT(refusal(changed, {"schedul"}), testing::HasSubstr("Did you mean 'schedule'"));
  StageConfig other_optimizer = c;
  other_optimizer.muon.enabled = !c.muon.enabled;
  EXPECT_THAT(refusal(other_optimizer, {"muon"}), testing::HasSubstr("what cannot change"));

  StageConfig wider = c;
  wider.model.width = 64;
  EXPECT_THAT(refusal(wider, {"model"}), testing::HasSubstr("model.width was 32 and is 64"));

  // Shards are what they hold, not where they lie.
  std::filesystem::rename(folder_ / "shards", folder_ / "moved");
  StageConfig moved = c;
  moved.shards = {(folder_ / "moved").string()};
  write_shard("other", tokenizers::TextTokenizer::load(folder_ / "text.json").fingerprint(),
              {"a green cone"});
  StageConfig other = c;
  other.shards = {(folder_ / "other").string()};
  EXPECT_THAT(refusal(other), testing::HasSubstr("shards has other content"));
  EXPECT_EQ(refusal(moved), "");

  // What was allowed holds for the runs after this one.
  other.seed = 2;
  other.steps = 14;
  EXPECT_EQ(refusal(other, {"shards", "seed"}), "");
  other.steps = 15;
  other.minutes = 100;
  other.log_steps = 2;
  other.checkpoint_steps = 3;
  other.recompute = true;
  EXPECT_EQ(refusal(other), "");
}

TEST_F(TrainerTest, ARunWithoutItsConfigIsNotResumed) {
  run_stage(config("run"), {});
  std::filesystem::remove(folder_.path() / "run" / "config.yaml");
  try {
    run_stage(config("run"), kResumed);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    EXPECT_THAT(error.what(), testing::HasSubstr("config.yaml"));
  }
}

TEST_F(TrainerTest, ResumingKeepsToItsTokenizers) {
  run_stage(config("run"), {});
  StageConfig other = config("run");
  other.tokenizers.text = (folder_ / "other.json").string();
  tokenizers::TextTokenizer::from_merges({{"a", " "}}).save(other.tokenizers.text);
  write_shard("others", tokenizers::TextTokenizer::load(other.tokenizers.text).fingerprint());
  other.shards = {(folder_ / "others").string()};
  try {
    run_stage(other, kResumed);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    EXPECT_THAT(error.what(), testing::HasSubstr("the text tokenizer"));
  }
}

// A later stage's start is told by its content, too.
TEST_F(TrainerTest, ResumingRefusesAnotherStartBundle) {
  StageConfig next = config("continue");
  next.stage = "continue";
  next.start_bundle = run_stage(config("first"), {}).bundle.string();
  next.tokenizers.text = "";
  next.text_capacity = 0;
  run_stage(next, {});
  StageConfig seeded = config("second");
  seeded.seed = 9;
  next.steps = 13;
  next.start_bundle = run_stage(seeded, {}).bundle.string();
  EXPECT_THROW(run_stage(next, kResumed), Error);
  std::filesystem::rename(folder_ / "first", folder_ / "moved");
  next.start_bundle = (folder_.path() / "moved" / "bundle").string();
  EXPECT_EQ(run_stage(next, kResumed).steps, 13);
}

TEST_F(TrainerTest, LaterStagesGrowTheVocabularyAndKeepToTheirBundle) {
  StageConfig next = config("continue");
  next.stage = "continue";
  next.start_bundle = run_stage(config("run"), {}).bundle.string();
  next.tokenizers = {};
  next.text_capacity = 17;
  try {
    run_stage(next, {});
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    EXPECT_THAT(error.what(), testing::HasSubstr("text_capacity"));
  }
  EXPECT_FALSE(std::filesystem::exists(folder_ / "continue"));
  next.text_capacity = 0;
  next.view_rows_steps = 2;
  const model::Bundle before = model::load_bundle(next.start_bundle);
  const model::Bundle after = model::load_bundle(run_stage(next, {}).bundle);
  EXPECT_TRUE(after.vocabulary().extends(before.vocabulary()));
  EXPECT_TRUE(after.vocabulary().has(sequence::kRangeAzimuth));
  EXPECT_EQ(after.layout().text_capacity, 24);
  ASSERT_EQ(after.tasks.size(), 1u);
  EXPECT_EQ(after.tasks[0].name, "captions");
}

// Views that were never trained, or a step back, would be a run that fails nowhere.
TEST_F(TrainerTest, LaterStagesStartFromTheStageBefore) {
  const auto start_from = [&](const char* stage, const char* made_by) {
    StageConfig earlier = config("earlier");
    model::Bundle bundle = start_bundle(earlier);
    bundle.notes["stage"] = made_by;
    model::save_bundle(bundle, folder_ / "earlier");
    StageConfig c = config(stage);
    c.stage = stage;
    c.tokenizers = {};
    c.text_capacity = 0;
    c.start_bundle = (folder_ / "earlier").string();
    start_bundle(c);
  };
  EXPECT_NO_THROW(start_from("continue", "pretrain"));
  EXPECT_NO_THROW(start_from("continue", "continue"));
  EXPECT_NO_THROW(start_from("finetune", "continue"));
  EXPECT_NO_THROW(start_from("finetune", "finetune"));
  for (const auto& [stage, made_by] :
       {std::pair("continue", "finetune"), std::pair("finetune", "pretrain")}) {
    try {
      start_from(stage, made_by);
      ADD_FAILURE();
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage);
      EXPECT_THAT(error.what(), testing::HasSubstr(concat("made by 'omni ", made_by, "'")));
    }
  }
}

TEST_F(TrainerTest, RefusesADeviceThatIsNotThere) {
  if (kernels::gpu_refusal().empty()) GTEST_SKIP() << "there is a GPU here";
  StageConfig c = config("run");
  c.device = "cuda";
  try {
    run_stage(c, {});
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    EXPECT_THAT(error.what(), testing::HasSubstr("training on the device cuda"));
  }
  EXPECT_FALSE(std::filesystem::exists(folder_ / "run"));
}

TEST_F(TrainerTest, RefusesAFolderThatHoldsARun) {
  run_stage(config("run"), {});
  try {
    run_stage(config("run"), {});
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    EXPECT_THAT(error.what(), testing::HasSubstr("finished"));
    EXPECT_THAT(error.what(), testing::HasSubstr("--resume"));
  }
}

TEST_F(TrainerTest, ResumingNeedsACheckpointUnlessALauncherAsks) {
  try {
    run_stage(config("run"), kResumed);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    EXPECT_THAT(error.what(), testing::HasSubstr("--resume auto"));
  }
  EXPECT_FALSE(std::filesystem::exists(folder_ / "run"));
  const TrainerOptions automatic{.run = {.resume = Resume::automatic, .allowed_changes = {}},
                                 .dry_run = false};
  EXPECT_EQ(run_stage(config("run"), automatic).steps, 12);
  EXPECT_TRUE(run_stage(config("run"), automatic).was_finished);
}

TEST_F(TrainerTest, AFinishedRunGoesOnWithMoreSteps) {
  StageConfig c = config("run");
  run_stage(c, {});
  const auto before = weights(folder_.path() / "run" / "bundle");
  const TrainingSummary again = run_stage(c, kResumed);
  EXPECT_TRUE(again.was_finished);
  EXPECT_EQ(again.steps, 12);
  auto same = weights(again.bundle);
  for (std::size_t i = 0; i < same.size(); ++i) EXPECT_TRUE(at::equal(before[i], same[i])) << i;
  // Its bundle is written anew, whatever became of the one that is there.
  std::filesystem::resize_file(again.bundle / "model.safetensors", 100);
  std::filesystem::remove(again.bundle / "vocabulary.json");
  same = weights(run_stage(c, kResumed).bundle);
  for (std::size_t i = 0; i < same.size(); ++i) EXPECT_TRUE(at::equal(before[i], same[i])) << i;
  c.steps = 15;
  const TrainingSummary more = run_stage(c, kResumed);
  EXPECT_FALSE(more.was_finished);
  EXPECT_EQ(more.steps, 15);
  const std::string metrics = read_file_text(folder_.path() / "run" / "metrics.jsonl");
  EXPECT_EQ(std::count(metrics.begin(), metrics.end(), '\n'), 15);
}

TEST_F(TrainerTest, OneProcessTrainsIntoAFolder) {
  const auto lock_file = folder_.path() / "run" / "run.lock";
  {
    const RunLock lock(lock_file, "training");
    try {
      run_stage(config("run"), {});
      ADD_FAILURE();
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage);
      EXPECT_THAT(error.what(), testing::HasSubstr("in use by process"));
    }
    EXPECT_FALSE(std::filesystem::exists(folder_.path() / "run" / "metrics.jsonl"));
  }
  run_stage(config("run"), {});
  EXPECT_FALSE(std::filesystem::exists(lock_file));
}

TEST_F(TrainerTest, RefusesShardsOfAnotherTokenizer) {
  write_shard("foreign", 12345);
  StageConfig c = config("run");
  c.shards = {(folder_ / "foreign").string()};
  try {
    run_stage(c, {});
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    EXPECT_THAT(error.what(), testing::HasSubstr("text tokenizer"));
  }
  EXPECT_FALSE(std::filesystem::exists(folder_.path() / "run"));
}

TEST_F(TrainerTest, LaterStagesRefuseShardsOfAnotherTokenizerThanTheirBundles) {
  StageConfig next = config("continue");
  next.stage = "continue";
  next.start_bundle = run_stage(config("run"), {}).bundle.string();
  next.tokenizers = {};
  next.text_capacity = 0;
  write_shard("foreign", 12345);
  next.shards.push_back((folder_ / "foreign").string());
  try {
    run_stage(next, {});
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    EXPECT_THAT(error.what(), testing::HasSubstr("foreign"));
  }
  next.shards = {(folder_ / "foreign").string()};
  try {
    run_stage(next, {});
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    EXPECT_THAT(error.what(), testing::HasSubstr("the text tokenizer of the bundle '" + next.start_bundle));
  }
}

TEST_F(TrainerTest, ResumingPassesOverADamagedCheckpoint) {
  StageConfig c = config("run");
  c.checkpoint_steps = 5;
  c.checkpoints_kept = 3;
  run_stage(c, {});
  const auto good = last_shard("run");
  const auto checkpoints = folder_.path() / "run" / "checkpoints";
  auto bad = good;
  bad[bad.size() / 2] ^= std::byte{1};
  write_file_atomically(checkpoints / "step-00000012" / "shard-00000-of-00001.safetensors", bad);
  std::filesystem::remove(checkpoints / "step-00000010" / "manifest.json");
  testing::internal::CaptureStderr();
  run_stage(c, kResumed);
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_THAT(said,
              testing::ContainsRegex("step-00000012.*checksum.*step-00000010.*manifest.*step-00000005"));
  EXPECT_EQ(last_shard("run"), good);
  EXPECT_TRUE(std::filesystem::exists(checkpoints / "step-00000012.damaged"));
  EXPECT_EQ(timeless_metrics("run").size(), 12u);

  for (const char* step : {"step-00000005", "step-00000010", "step-00000012"})
    write_file_atomically(checkpoints / step / "manifest.json", "{}");
  try {
    run_stage(c, kResumed);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    for (const char* part : {"step-00000012", "step-00000005", "remove that folder"})
      EXPECT_THAT(error.what(), testing::HasSubstr(part));
  }
}

// As a run wrote them before: a bundle, the optimizer's tensors and state.json.
TEST_F(TrainerTest, ResumingGoesOnFromACheckpointOfTheFormatBefore) {
  StageConfig c = config("whole");
  run_stage(c, {});
  c.output = (folder_ / "run").string();
  c.checkpoint_steps = 5;
  run_stage(c, {});
  const auto checkpoints = folder_.path() / "run" / "checkpoints";
  {
    const checkpoint::CheckpointReader reader(checkpoints / "step-00000010");
    const auto old = checkpoints / "step-00000007";
    model::save_bundle(model::load_bundle(reader), old / "bundle");
    nn::NamedTensors moments = {{"optimizer.steps", at::full({1}, 10, at::kLong)}};
    for (const auto& [name, shape] : reader.tensors()) {
      if (name.ends_with(".value")) continue;
      at::Tensor moment = at::empty(shape, at::kFloat);
      reader.read(name, 0, {moment.mutable_data_ptr<float>(), static_cast<std::size_t>(moment.numel())});
      moments.emplace_back(name, moment);
    }
    nn::write_tensors(old / "optimizer.safetensors", moments);
    const checkpoint::RunState& state = reader.manifest().run;
    const nlohmann::json json = {{"format_version", 1},
                                 {"step", 10},
                                 {"tokens", state.tokens},
                                 {"seconds", state.seconds},
                                 {"inputs", state.inputs}};
    write_file_atomically(old / "state.json", json_text(json, 2) + "\n");
  }
  for (const char* newer : {"common", "step-00000005", "step-00000010", "step-00000012"})
    std::filesystem::remove_all(checkpoints / newer);
  std::filesystem::rename(checkpoints / "step-00000007", checkpoints / "step-00000010");
  EXPECT_EQ(run_stage(c, kResumed).steps, 12);
  EXPECT_EQ(last_shard("run"), last_shard("whole"));
  EXPECT_EQ(timeless_metrics("run"), timeless_metrics("whole"));
}

// A bundle can be read out of a checkpoint, and is the one that the run's end leaves.
TEST_F(TrainerTest, ACheckpointIsReadAsABundle) {
  const TrainingSummary summary = run_stage(config("run"), {});
  const auto checkpoint = folder_.path() / "run" / "checkpoints" / "step-00000012";
  const model::Bundle bundle = model::load_bundle(checkpoint);
  bundle.transformer->fold_codebooks();
  model::save_bundle(bundle, folder_ / "exported");
  for (const char* file : {"model.safetensors", "bundle.yaml", "vocabulary.json", "text_tokenizer.json"})
    EXPECT_EQ(read_file_bytes(folder_.path() / "exported" / file), read_file_bytes(summary.bundle / file));
  EXPECT_EQ(model::load_bundle_tasks(checkpoint).size(), 1u);
}

TEST_F(TrainerTest, ADiskThatIsTooSmallIsSaidBeforeAnythingIsWritten) {
  StageConfig c = config("run");
  c.steps = 1'000'000'000'000;
  c.checkpoints_kept = c.steps - 1;
  try {
    run_stage(c, {});
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::io);
    EXPECT_THAT(error.what(), testing::HasSubstr("checkpoints_kept"));
  }
  EXPECT_FALSE(std::filesystem::exists(folder_ / "run"));
}

TEST_F(TrainerTest, MinutesEndARunBeforeItsSteps) {
  StageConfig c = config("run");
  c.steps = 1'000'000;
  c.minutes = 0.02;
  const TrainingSummary summary = run_stage(c, {});
  EXPECT_LT(summary.steps, 1'000'000);
  EXPECT_GE(summary.seconds, 1.2);
}

TEST_F(TrainerTest, DryRunWritesNothing) {
  testing::internal::CaptureStdout();
  run_stage(config("run"), {.dry_run = true});
  const std::string text = testing::internal::GetCapturedStdout();
  EXPECT_THAT(text, testing::HasSubstr("tokens_per_step: 128"));
  EXPECT_THAT(text, testing::HasSubstr("parameters:"));
  EXPECT_FALSE(std::filesystem::exists(folder_.path() / "run"));
}

// A stage is planned before its data are tokenised.
TEST_F(TrainerTest, DryRunNeedsNoShards) {
  StageConfig c = config("run");
  c.shards = {(folder_ / "nowhere").string()};
  testing::internal::CaptureStdout();
  run_stage(c, {.dry_run = true});
  const std::string text = testing::internal::GetCapturedStdout();
  EXPECT_THAT(text, testing::ContainsRegex("full length, for there are no shards in '.*nowhere'"));
  EXPECT_THAT(text, testing::ContainsRegex("FLOPs per step: [1-9]"));
}

TEST(StageConfigFile, NamesTheMistake) {
  const test::TemporaryDirectory folder;
  const auto error_of = [&](const std::string& text, const std::string& stage) -> std::string {
    write_file_atomically(folder / "stage.yaml", text);
    try {
      load_stage_config(folder / "stage.yaml", stage, {});
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage);
      return error.what();
    }
    ADD_FAILURE() << "no error";
    return "";
  };
  const std::string good = "output: o\nshards: [s]\nmixture: {text->shape: 1}\n";
  EXPECT_THAT(error_of(good + "tokens_per_stepp: 3\n", "pretrain"), testing::HasSubstr("'tokens_per_step'"));
  EXPECT_THAT(error_of(good + "stage: finetune\n", "pretrain"), testing::HasSubstr("omni finetune"));
  EXPECT_THAT(error_of(good, "continue"), testing::HasSubstr("start_bundle"));
  EXPECT_THAT(error_of(good, "pretrain"), testing::HasSubstr("tokenizers.text"));
  EXPECT_THAT(error_of("output: o\nshards: [s]\nmixture: {text->shape: 0}\n", "pretrain"),
              testing::HasSubstr("weight 0"));
  EXPECT_THAT(
      error_of("output: o\nshards: [s]\nmixture:\n  text->shap: 1\n", "pretrain"),
      testing::HasSubstr("stage.yaml:4:3: unknown key 'mixture.text->shap'. Did you mean 'text->shape'?"));
  EXPECT_THAT(error_of(good + "range_loss_weights: {colours: 2}\n", "pretrain"),
              testing::HasSubstr("'colour'"));
  EXPECT_THAT(
      error_of(good + "model: {features: [{name: text, width: 8}]}\ntokenizers: {text: t}\n", "pretrain"),
      testing::HasSubstr("'model.features'"));
  EXPECT_THAT(
      error_of(good + "loss_weights: {text: 0, image: 0, shape: 0}\ntokenizers: {text: t}\n", "pretrain"),
      testing::HasSubstr("'loss_weights' gives every kind"));
  EXPECT_THAT(error_of(good + "model: {width: 63, heads: 2}\ntokenizers: {text: t}\n", "pretrain"),
              testing::HasSubstr("stage.yaml: transformer config: width 63"));
  EXPECT_THAT(
      error_of(good + "tokenizers: {text: t}\ndevice: cuda\nfused_kernels: [norm, swiglue]\n", "pretrain"),
      testing::AllOf(testing::HasSubstr("'fused_kernels"), testing::HasSubstr("swiglu")));
  EXPECT_THAT(error_of(good + "tokenizers: {text: t}\nfused_kernels: [norm]\n", "pretrain"),
              testing::HasSubstr("'fused_kernels' are for device: cuda"));
  const std::string later = good + "start_bundle: b\n";
  EXPECT_THAT(error_of(later + "model: {width: 32}\n", "continue"),
              testing::HasSubstr("'model' is for pretrain"));
  EXPECT_THAT(error_of(later + "tokenizers: {text: t}\n", "finetune"),
              testing::HasSubstr("'tokenizers' is for pretrain"));
  EXPECT_THAT(error_of(later + "replay_share: 0.5\n", "finetune"),
              testing::HasSubstr("'replay' names no task"));
}

TEST(StageConfigFile, ReadsWhatEarlierRunsWrote) {
  const test::TemporaryDirectory folder;
  write_file_atomically(folder / "config.yaml",
                        "output: o\nshards: [s]\nmixture: {text->shape: 1}\ntokenizers: {text: t.json}\n"
                        "attention: automatic\n");
  EXPECT_EQ(load_stage_config(folder / "config.yaml", "pretrain", {}).attention, "auto");
}

TEST_F(TrainerTest, EarlierTasksAreReplayedInThreeTenths) {
  StageConfig c = config("run");
  c.custom_tasks.push_back(c.custom_tasks.front());
  c.custom_tasks.back().name = "earlier";
  c.replay = {{"earlier", 5}};
  const StageData data(c, start_bundle(c));
  ASSERT_EQ(data.source().tasks().size(), 2u);
  EXPECT_NEAR(data.source().tasks()[0].share, 0.7, 1e-9);
  EXPECT_NEAR(data.source().tasks()[1].share, 0.3, 1e-9);
}

}  // namespace
}  // namespace omni::training
