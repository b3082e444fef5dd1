#include "tokenizer_run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "omni/core/config.h"
#include "omni/core/error.h"
#include "omni/core/files.h"
#include "temporary_directory.h"
#include "thread_ranks.h"

namespace omni::training {
namespace {

namespace fs = std::filesystem;
using at::Tensor;

struct ToyConfig {
  std::int64_t seed = 1, steps = 10, log_steps = 1;
  double minutes = 0, continuous_share = 0.5, clip_norm = 1, checkpoint_minutes = 10;
  optimizer::AdamWConfig adamw;
  optimizer::ScheduleConfig schedule;
};
void describe(ConfigVisitor& v, ToyConfig& c) {
  v.integer("seed", c.seed);
  v.integer("steps", c.steps);
}

// Learns one vector and, once quantised, a codebook of two, from noise that a counter draws.
class ToyLearner : public TokenizerLearner {
 public:
  explicit ToyLearner(std::int64_t killed_at = -1)
      : killed_at_(killed_at),
        vector_(nn::ParameterScope(store_).add("vector", {4}, nn::Init::normal(1))),
        quantiser_(nn::make_quantiser(nn::ParameterScope(store_),
                                      {.kind = "vq", .codebook_size = 2, .codebook_dim = 4})) {}

  nn::ParameterStore& parameters() override { return store_; }
  std::vector<std::pair<std::string, nn::Quantiser*>> quantisers() override {
    return {{"codes", quantiser_.get()}};
  }
  void begin_step(std::int64_t step) override {
    if (step == killed_at_) throw std::runtime_error("killed");
    noise_ = at::zeros({3, 4});
    for (int i = 0; i < 12; ++i) noise_.data_ptr<float>()[i] = static_cast<float>(rng_.normal());
  }
  void start_quantisers() override {
    ++starts;
    quantiser_->start(rows(), rng_);
  }
  Tensor loss(bool quantise) override {
    quantised.push_back(quantise);
    const Tensor z = vector_ + noise_;
    if (!quantise) return z.square().mean();
    const auto coded = quantiser_->quantise(z);
    indices_ = coded.indices;
    return coded.values.square().mean() + coded.loss;
  }
  void learn_codebooks() override { quantiser_->learn(rows(), indices_, rng_); }
  Figures take_figures(std::int64_t steps_done) override {
    return {.numbers = {{"loss", 1.0 / static_cast<double>(steps_done)}}, .note = "toy"};
  }
  std::map<std::string, std::uint64_t> position() const override { return {{"random", rng_.position()}}; }
  void move_to(const std::map<std::string, std::uint64_t>& position) override {
    rng_.move_to(position.at("random"));
  }
  void save(const fs::path& folder) const override {
    AtomicDirectory directory(folder, "weights.safetensors");
    store_.save(directory.staging_path() / "weights.safetensors");
    directory.commit();
  }

  std::vector<bool> quantised;  // of the steps taken
  int starts = 0;

 private:
  Tensor rows() const { return (vector_ + noise_).detach(); }

  std::int64_t killed_at_;
  nn::ParameterStore store_{7};
  Tensor vector_;
  std::unique_ptr<nn::Quantiser> quantiser_;
  CounterRng rng_{3};
  Tensor noise_, indices_;
};

class TokenizerRunTest : public testing::Test {
 protected:
  TokenizerTrainingSummary train(const ToyConfig& config, const std::string& name, ToyLearner& learner,
                                 RunOptions options = {}) {
    TokenizerRun run("toy tokenizer", folder_ / name, std::move(options), ranks_, at::kCPU);
    const BatchShare share("batch", 3, *collectives_);
    return run.train(run_settings(config, {.free = {"steps"}, .fixed = {}}), share, learner);
  }
  TokenizerTrainingSummary train(const ToyConfig& config, const std::string& name, RunOptions options = {}) {
    ToyLearner learner;
    return train(config, name, learner, std::move(options));
  }
  std::vector<std::byte> weights(const std::string& name) {
    return read_file_bytes(folder_.path() / name / "weights.safetensors");
  }
  std::string error_of(const std::function<void()>& work) {
    try {
      work();
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage);
      return error.what();
    }
    ADD_FAILURE() << "no error";
    return "";
  }
  std::int64_t lines(const fs::path& file) { return std::ranges::count(read_file_text(file), '\n'); }

  const RunOptions resumed_{.resume = Resume::yes, .allowed_changes = {}};
  const RunOptions automatic_{.resume = Resume::automatic, .allowed_changes = {}};
  const test::TemporaryDirectory folder_;
  const std::unique_ptr<distributed::Collectives> collectives_ = distributed::make_lone_collectives();
  test::ThreadTexts texts_;
  test::ThreadRanks ranks_{*collectives_, texts_};
};

// Whichever step a run is killed at, it goes on from its last checkpoint to the same end.
TEST_F(TokenizerRunTest, AKilledRunGoesOnToTheSameWeights) {
  ToyConfig config;
  config.checkpoint_minutes = 0;  // after every step
  ToyLearner whole;
  train(config, "whole", whole);
  EXPECT_EQ(whole.quantised, (std::vector<bool>{0, 0, 0, 0, 0, 1, 1, 1, 1, 1}));
  for (const std::int64_t killed_at : {1, 4, 5, 6, 9}) {
    const std::string name = concat("part", killed_at);
    ToyLearner first(killed_at), second;
    EXPECT_THROW(train(config, name, first), std::runtime_error);
    EXPECT_FALSE(fs::exists(folder_ / name));
    EXPECT_THAT(error_of([&] { train(config, name); }), testing::HasSubstr("that was stopped"));
    EXPECT_EQ(train(config, name, second, resumed_).steps, 10);
    EXPECT_EQ(second.starts, killed_at > 5 ? 0 : 1);
    EXPECT_EQ(weights(name), weights("whole")) << killed_at;
    EXPECT_EQ(lines(folder_.path() / name / "metrics.jsonl"), 10);
    EXPECT_FALSE(fs::exists(folder_ / (name + ".metrics.jsonl")));
    EXPECT_FALSE(fs::exists(folder_ / (name + ".lock")));
  }
}

TEST_F(TokenizerRunTest, OneRuleForWhatIsThere) {
  ToyConfig config;
  EXPECT_THAT(error_of([&] { train(config, "run", resumed_); }), testing::HasSubstr("no checkpoint"));
  EXPECT_TRUE(fs::is_empty(folder_.path()));
  EXPECT_EQ(train(config, "run", automatic_).steps, 10);
  const auto before = weights("run");
  EXPECT_THAT(error_of([&] { train(config, "run"); }), testing::HasSubstr("that is finished"));
  for (const RunOptions& options : {resumed_, automatic_}) {
    EXPECT_TRUE(train(config, "run", options).was_finished);
    EXPECT_EQ(weights("run"), before);
    EXPECT_EQ(lines(folder_.path() / "run" / "metrics.jsonl"), 10);
  }
  // With more steps it goes on, and its codes stay quantised.
  config.steps = 100;
  ToyLearner learner;
  EXPECT_EQ(train(config, "run", learner, resumed_).steps, 100);
  EXPECT_TRUE(learner.quantised.front());
  EXPECT_EQ(learner.starts, 0);
  // A tokenizer alone, such as one that was imported, is not trained over.
  fs::remove(folder_ / "run.checkpoint.safetensors");
  for (const RunOptions& options : {resumed_, automatic_})
    EXPECT_THAT(error_of([&] { train(config, "run", options); }),
                testing::HasSubstr("finished run without a checkpoint"));
}

TEST_F(TokenizerRunTest, WhicheverOfStepsAndMinutesComesFirst) {
  ToyConfig config;
  config.minutes = 1e6;
  EXPECT_EQ(train(config, "steps").steps, 10);
  config.steps = 1'000'000'000;
  config.minutes = 0.002;
  const auto summary = train(config, "minutes");
  EXPECT_LT(summary.steps, config.steps);
  EXPECT_GE(summary.seconds, 0.12);
}

TEST_F(TokenizerRunTest, OneProcessTrainsIntoAnOutput) {
  const TokenizerRun first("toy tokenizer", folder_ / "run", {}, ranks_, at::kCPU);
  EXPECT_THAT(error_of([&] { train({}, "run"); }), testing::HasSubstr("in use by process"));
  EXPECT_EQ(train({}, "other").steps, 10);
}

TEST_F(TokenizerRunTest, AChangedConfigIsNamed) {
  ToyConfig config;
  train(config, "run");
  config.steps = 11;
  config.seed = 2;
  EXPECT_THAT(error_of([&] { train(config, "run", resumed_); }),
              testing::HasSubstr("another config: seed was 1 and is 2"));
  EXPECT_EQ(train(config, "run", {.resume = Resume::yes, .allowed_changes = {"seed"}}).steps, 11);
}

TEST_F(TokenizerRunTest, ADamagedCheckpointIsNamed) {
  train({}, "run");
  const fs::path checkpoint = folder_ / "run.checkpoint.safetensors";
  const auto bytes = read_file_bytes(checkpoint);
  write_file_atomically(checkpoint, std::span(bytes).first(bytes.size() / 2));
  try {
    train({}, "run", resumed_);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    EXPECT_THAT(error.what(), testing::HasSubstr("run.checkpoint.safetensors"));
  }
}

}  // namespace
}  // namespace omni::training
