// Tokenizers that several ranks train, which are threads here, against one that trains alone.
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <gmock/gmock.h>

#include <array>
#include <mutex>

#include "batch_share.h"
#include "metric_lines.h"
#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/random.h"
#include "omni/core/safetensors.h"
#include "random_unions.h"
#include "small_tokenizers.h"
#include "temporary_directory.h"
#include "test_device.h"
#include "thread_ranks.h"
#include "tokenizer_rank.h"
#include "tokenizer_run.h"

namespace omni::training {
namespace {

namespace fs = std::filesystem;
using at::Tensor;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(BatchShare, CutsABatchAmongTheRanksInTheirOrder) {
  for (const auto& [batch, ranks] : {std::pair{8, 1}, {8, 2}, {8, 3}, {7, 4}, {3, 3}}) {
    std::mutex mutex;
    std::vector<std::int64_t> taken(static_cast<std::size_t>(batch));
    double weights = 0;
    test::run_thread_ranks(ranks, [&, batch = batch](distributed::Collectives& collectives) {
      const BatchShare share("batch", batch, collectives);
      const Tensor whole = at::arange(2 * batch, at::kLong).view({batch, 2});
      const Tensor own = share.own(whole);
      EXPECT_GE(share.count(), 1);
      EXPECT_TRUE(share.gather(own).equal(whole));
      // Two rows a sample.
      EXPECT_TRUE(share.gather(own.reshape({-1, 1})).equal(whole.view({-1, 1})));
      const std::lock_guard lock(mutex);
      weights += share.weight();
      for (std::int64_t i = 0; i < own.size(0); ++i)
        ++taken[static_cast<std::size_t>(own[i][0].item<std::int64_t>() / 2)];
    });
    EXPECT_THAT(taken, testing::Each(1)) << batch << " among " << ranks;
    EXPECT_NEAR(weights, 1, 1e-12);
  }
}

TEST(BatchShare, AddsWhatRanksCount) {
  test::run_thread_ranks(3, [](distributed::Collectives& collectives) {
    const BatchShare share("batch", 3, collectives);
    const int rank = collectives.rank();
    tokenizers::CodeUse use;
    use.add(at::tensor({rank, 7, 7}, at::kLong));
    share.sum(use, 16, at::kCPU);
    EXPECT_EQ(use.used(), 4);
    EXPECT_EQ(use.counts(16)[7].item<std::int64_t>(), 6);
    std::vector<double> numbers = {1.0, 10.0 * rank};
    share.sum(numbers, at::kCPU);
    EXPECT_THAT(numbers, ElementsAre(3, 30));
  });
}

// Vectors whose coordinates are small integers: their sums are exact in whatever order.
Tensor integers(std::int64_t rows, std::uint64_t seed) {
  CounterRng rng(seed);
  Tensor all = at::empty({rows, 4});
  for (std::int64_t i = 0; i < all.numel(); ++i)
    all.mutable_data_ptr<float>()[i] = static_cast<float>(rng.below(9)) - 4;
  return all;
}

struct Learnt {
  Tensor codebook;
  std::vector<std::pair<std::string, Tensor>> state;
  std::uint64_t drawn = 0;
};

// As if the processor of a rank rounded in its own way: it counts other uses of the codes.
void miscount(const nn::Quantiser& quantiser, std::int64_t by) {
  for (const auto& [name, state] : quantiser.learning_state())
    if (name == "counts") state.mul_(static_cast<double>(1 + 3 * by));
}

// After steps in which half of the codes die and are moved. If `drifting`, ranks other than the first start
// with another sequence of draws, and miscount on the way.
Learnt learn(const std::string& kind, const BatchShare& share, bool drifting = false) {
  nn::ParameterStore store(3);
  const auto quantiser = nn::make_quantiser(
      nn::ParameterScope(store),
      {.kind = kind, .codebook_size = 8, .codebook_dim = 4, .decay = 0.5, .revival_share = 0.4});
  quantiser->share(share.vectors());
  CounterRng rng(5);
  const c10::NoGradGuard no_grad;
  for (std::int64_t i = 0; drifting && i < share.first(); ++i) rng.next_u32();
  quantiser->start(integers(40, 1), rng);
  for (std::uint64_t step = 0; step < 12; ++step) {
    const Tensor rows = share.own(integers(10 * 6, 10 + step).view({10, 6, 4})).reshape({-1, 4});
    const Tensor prepared = quantiser->prepare(rows);
    if (drifting && step == 6) miscount(*quantiser, share.first());
    quantiser->learn(prepared, quantiser->nearest(prepared), rng);
  }
  return {quantiser->codebook().clone(), quantiser->learning_state(), rng.position()};
}

// Unlike rounding, a code that counts or moves otherwise on one rank cannot hide: everything is equal to the bit.
TEST(SharedQuantiser, LearnsOnEveryRankWhatOneLearnsFromAllVectors) {
  for (const char* kind : {"vq", "spherical"}) {
    const auto lone = distributed::make_lone_collectives();
    const Learnt alone = learn(kind, BatchShare("batch", 10, *lone));
    EXPECT_GT(alone.drawn, learn("fsq", BatchShare("batch", 10, *lone)).drawn) << "nothing was revived";
    for (const int ranks : {2, 3, 4}) {
      test::run_thread_ranks(ranks, [&](distributed::Collectives& collectives) {
        const Learnt own = learn(kind, BatchShare("batch", 10, collectives));
        EXPECT_TRUE(own.codebook.equal(alone.codebook)) << kind << ranks;
        ASSERT_EQ(own.state.size(), alone.state.size());
        for (std::size_t i = 0; i < own.state.size(); ++i)
          EXPECT_TRUE(own.state[i].second.equal(alone.state[i].second)) << kind << own.state[i].first;
        EXPECT_EQ(own.drawn, alone.drawn);
      });
    }
  }
}

TEST(SharedQuantiser, LearnsWhatTheFirstRankDoesWhereOthersDrift) {
  for (const char* kind : {"vq", "spherical"}) {
    const auto lone = distributed::make_lone_collectives();
    const Learnt alone = learn(kind, BatchShare("batch", 10, *lone));
    test::run_thread_ranks(3, [&](distributed::Collectives& collectives) {
      const Learnt own = learn(kind, BatchShare("batch", 10, collectives), /*drifting=*/true);
      EXPECT_TRUE(own.codebook.equal(alone.codebook)) << kind;
      ASSERT_EQ(own.state.size(), alone.state.size());
      for (std::size_t i = 0; i < own.state.size(); ++i)
        EXPECT_TRUE(own.state[i].second.equal(alone.state[i].second)) << kind << own.state[i].first;
      EXPECT_EQ(own.drawn, alone.drawn);
    });
  }
}

class TokenizerRanks : public testing::Test {
 protected:
  using OnRank = std::function<TokenizerTrainingSummary(distributed::Ranks&)>;
  static TokenizerTrainingSummary on_ranks(int ranks, const OnRank& work) {
    TokenizerTrainingSummary summary;
    test::ThreadTexts texts;
    test::run_thread_ranks(ranks, [&](distributed::Collectives& collectives) {
      at::set_num_threads(1);
      test::ThreadRanks own(collectives, texts);
      const TokenizerTrainingSummary mine = work(own);
      if (collectives.rank() == 0) summary = mine;
    });
    return summary;
  }

  static ImageTokenizerTrainingConfig image_config() {
    ImageTokenizerTrainingConfig c = small_image_tokenizer();
    c.network.codebook_size = 16;
    c.batch_size = 7;
    c.steps = 12;
    c.log_steps = 1;
    c.continuous_share = 0.25;
    c.bypass_share = 0.3;
    c.revival_share = 0.3;
    c.schedule.shape = "constant";
    c.schedule.warmup_share = 0;
    return c;
  }
  static ShapeTokenizerTrainingConfig shape_config(const std::string& layout) {
    ShapeTokenizerTrainingConfig c = small_shape_tokenizer(layout);
    c.grid.adaptive_length = true;
    for (nn::QuantiserConfig* quantiser : {&c.grid.quantiser, &c.vecset.quantiser})
      quantiser->revival_share = 0.3;
    c.objects = 8;
    c.batch = 5;
    c.steps = 8;
    c.continuous_share = 0.25;
    c.bypass_share = 0.3;
    c.full_length_share = 0.5;
    c.code_noise = 0.2;
    c.turns = true;
    c.schedule.shape = "constant";
    c.schedule.warmup_share = 0;
    return c;
  }

  TokenizerTrainingSummary train(const ImageTokenizerTrainingConfig& c, const std::string& name, int ranks,
                                 Resume resume = Resume::no, at::Device device = at::kCPU) const {
    return on_ranks(ranks, [&](distributed::Ranks& own) {
      return train_image_tokenizer_on_rank(
          c, [this] { return images_; }, folder_ / name, {.resume = resume, .allowed_changes = {}}, own,
          device);
    });
  }
  TokenizerTrainingSummary train(const ShapeTokenizerTrainingConfig& c, const std::string& name, int ranks,
                                 Resume resume = Resume::no, at::Device device = at::kCPU) const {
    return on_ranks(ranks, [&](distributed::Ranks& own) {
      return train_shape_tokenizer_on_rank(c, objects_, folder_ / name,
                                           {.resume = resume, .allowed_changes = {}}, own, device);
    });
  }

  // The steps, figures and codes of two runs, within the rounding that Adam makes of sums in another order: by the fifth step
  // 2.3e-3 of a gradient's norm with AVX2.
  void expect_the_same_run(const std::string& got, const std::string& wanted) const {
    const auto a = test::metric_lines(folder_.path() / got / "metrics.jsonl"),
               b = test::metric_lines(folder_.path() / wanted / "metrics.jsonl");
    ASSERT_EQ(a.size(), b.size());
    for (std::size_t i = 0; i < a.size(); ++i) {
      for (const auto& [key, value] : b[i].items()) {
        if (key == "seconds" || !value.is_number()) continue;
        const double expected = value.get<double>(), tolerance = i == 0 ? 1e-5 : 5e-3;
        EXPECT_NEAR(a[i].at(key).get<double>(), expected, tolerance * std::max(1.0, std::abs(expected)))
            << got << " step " << i + 1 << " " << key;
      }
    }
  }

  const test::TemporaryDirectory folder_;
  const Tensor images_ = [] {
    CounterRng rng(4);
    Tensor all = at::full({20, 3, 16, 16}, 255, at::kByte);
    for (std::int64_t i = 0; i < 20; ++i)
      for (std::int64_t channel = 0; channel < 3; ++channel)
        all[i][channel]
            .narrow(0, static_cast<std::int64_t>(rng.below(8)), 8)
            .narrow(1, static_cast<std::int64_t>(rng.below(8)), 8)
            .fill_(static_cast<std::int64_t>(rng.below(256)));
    return all;
  }();
  const testing_support::RandomUnions objects_{1, 6};
};

TEST_F(TokenizerRanks, TakeTheSameStepsWithTheBatchAmongThem) {
  train(image_config(), "image", 1);
  for (const int ranks : {2, 3}) {
    EXPECT_EQ(train(image_config(), concat("image", ranks), ranks).steps, 12);
    expect_the_same_run(concat("image", ranks), "image");
  }
  for (const char* layout : {"grid", "vecset"}) {
    train(shape_config(layout), layout, 1);
    for (const int ranks : {2, 3}) {
      EXPECT_EQ(train(shape_config(layout), concat(layout, ranks), ranks).steps, 8);
      expect_the_same_run(concat(layout, ranks), layout);
    }
  }
}

TEST_F(TokenizerRanks, RepeatThemselvesAndGoOnFromAnyNumberOfThem) {
  const auto weights = [&](const std::string& name) {
    return read_file_bytes(folder_.path() / name / "weights.safetensors");
  };
  const auto compared = [&](auto config, const std::string& name) {
    train(config, name, 2);
    train(config, name + "-again", 2);
    EXPECT_EQ(weights(name), weights(name + "-again"));
    train(config, name + "-alone", 1);
    auto part = config;
    for (const auto& [steps, ranks] : {std::pair{3, 2}, {5, 3}, {6, 1}}) {
      part.steps = steps;
      train(part, name + "-part", ranks, Resume::automatic);
    }
    EXPECT_EQ(train(config, name + "-part", 2, Resume::yes).steps, config.steps);
    expect_the_same_run(name + "-part", name + "-alone");
    // On the same ranks to the bit.
    part.steps = 4;
    train(part, name + "-same", 2);
    train(config, name + "-same", 2, Resume::yes);
    EXPECT_EQ(weights(name), weights(name + "-same"));
  };
  auto image = image_config();
  image.continuous_share = 0;
  compared(image, "image");
  auto shape = shape_config("grid");
  shape.continuous_share = 0;
  compared(shape, "shape");
}

TEST_F(TokenizerRanks, MoreThanSamplesAreRefused) {
  for (const auto& work : std::array<std::function<void()>, 2>{
           [&] { train(image_config(), "run", 8); }, [&] { train(shape_config("grid"), "run", 6); }}) {
    try {
      work();
      ADD_FAILURE();
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage);
      EXPECT_THAT(error.what(), HasSubstr("samples, and there must be one for each. Raise batch"));
    }
  }
  EXPECT_FALSE(fs::exists(folder_.path() / "run"));
}

// On the GPU as on the processor, from where it also goes on.
class TokenizerTrainingGpu : public TokenizerRanks {
 protected:
  void SetUp() override {
    if (!test::device_refusal().empty()) GTEST_SKIP() << test::device_refusal();
  }
};

TEST_F(TokenizerTrainingGpu, TakesTheStepsOfTheProcessor) {
  const auto compared = [&](auto config, const std::string& name) {
    train(config, name, 1);
    train(config, name + "-gpu", 1, Resume::no, test::device());
    expect_the_same_run(name + "-gpu", name);
    config.continuous_share = 0;
    train(config, name + "-whole", 1);
    auto part = config;
    part.steps = 4;
    train(part, name + "-part", 1);
    train(config, name + "-part", 1, Resume::yes, test::device());
    expect_the_same_run(name + "-part", name + "-whole");
  };
  compared(image_config(), "image");
  for (const char* layout : {"grid", "vecset"}) compared(shape_config(layout), layout);
}

// The first rank alone locks, writes and fails for what lies there.
TEST_F(TokenizerRanks, AreRefusedTogether) {
  train(image_config(), "run", 2);
  try {
    train(image_config(), "run", 2);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    EXPECT_THAT(error.what(), HasSubstr("that is finished"));
  }
  EXPECT_TRUE(train(image_config(), "run", 3, Resume::yes).was_finished);
}

// A learner whose every part can be looked at: a line of vectors, moved and quantised.
class LineLearner : public TokenizerLearner {
 public:
  explicit LineLearner(const BatchShare& share, std::int64_t fails_at = -1)
      : share_(share),
        fails_at_(fails_at),
        vector_(nn::ParameterScope(store_).add("vector", {4}, nn::Init::normal(1))),
        quantiser_(
            nn::make_quantiser(nn::ParameterScope(store_),
                               {.kind = "vq", .codebook_size = 4, .codebook_dim = 4, .revival_share = 0.5})) {
    // As if this rank's processor made other numbers of the same seed.
    store_.find("vector")->value.detach().add_(static_cast<double>(share.first()));
  }
  nn::ParameterStore& parameters() override { return store_; }
  std::vector<std::pair<std::string, nn::Quantiser*>> quantisers() override {
    return {{"codes", quantiser_.get()}};
  }
  void begin_step(std::int64_t step) override {
    if (step == fails_at_) fail(ErrorKind::input, "a broken sample");
    noise_ = share_.own(integers(share_.batch(), 100 + static_cast<std::uint64_t>(step)));
  }
  void start_quantisers() override { quantiser_->start(share_.gather(rows()), rng_); }
  Tensor loss(bool quantise) override {
    const Tensor z = vector_ + noise_;
    if (!quantise) return z.square().mean();
    const auto coded = quantiser_->quantise(z);
    indices_ = coded.indices;
    return coded.values.square().mean() + coded.loss;
  }
  void learn_codebooks() override { quantiser_->learn(rows(), indices_, rng_); }
  Figures take_figures(std::int64_t) override { return {.numbers = {{"loss", 0.0}}, .note = ""}; }
  void save(const fs::path& folder) const override {
    AtomicDirectory directory(folder, "weights.safetensors");
    store_.save(directory.staging_path() / "weights.safetensors");
    directory.commit();
  }

 private:
  Tensor rows() const { return (vector_ + noise_).detach(); }

  const BatchShare& share_;
  std::int64_t fails_at_;
  nn::ParameterStore store_{7};
  Tensor vector_;
  std::unique_ptr<nn::Quantiser> quantiser_;
  CounterRng rng_{3};
  Tensor noise_, indices_;
};

TokenizerRunSettings line_settings() {
  TokenizerRunSettings settings;
  settings.budget = {.steps = 20, .minutes = 0};
  settings.continuous_share = 0.2;
  settings.read_config = [](const std::string&) { return std::vector<ConfigValue>(); };
  return settings;
}

TEST_F(TokenizerRanks, HaveEqualWeightsAndStatisticsAtEveryEnd) {
  std::vector<std::vector<Tensor>> all(3);
  on_ranks(3, [&](distributed::Ranks& own) {
    TokenizerRun run("line tokenizer", folder_ / "line", {}, own, at::kCPU);
    const BatchShare share("batch", 8, own.collectives());
    LineLearner learner(share);
    const auto summary = run.train(line_settings(), share, learner);
    std::vector<Tensor>& mine = all[static_cast<std::size_t>(own.collectives().rank())];
    for (const nn::Parameter& parameter : learner.parameters().all())
      mine.push_back(parameter.value.detach().clone());
    for (const auto& [name, state] : learner.quantisers()[0].second->learning_state())
      mine.push_back(state.clone());
    return summary;
  });
  ASSERT_EQ(all[0].size(), 4u);  // vector, codebook, counts, sums
  for (const int rank : {1, 2})
    for (std::size_t i = 0; i < all[0].size(); ++i)
      EXPECT_TRUE(all[static_cast<std::size_t>(rank)][i].equal(all[0][i])) << rank << " " << i;
}

TEST_F(TokenizerRanks, EndTogetherWhereASignalBreaksOffThePicturesOfOne) {
  std::mutex mutex;
  int stopped = 0;
  const auto work = [&](distributed::Ranks& own) {
    const auto images = [&] {
      if (own.collectives().rank() == 1) fail(ErrorKind::interrupted, "interrupted");
      return images_;
    };
    try {
      return train_image_tokenizer_on_rank(image_config(), images, folder_ / "run", {}, own, at::kCPU);
    } catch (const Error& error) {
      const std::lock_guard lock(mutex);
      if (error.kind() == ErrorKind::stopped || error.kind() == ErrorKind::interrupted) ++stopped;
      throw;
    }
  };
  EXPECT_THROW(on_ranks(3, work), Error);
  EXPECT_EQ(stopped, 3);
  EXPECT_FALSE(fs::exists(folder_.path() / "run"));
}

TEST_F(TokenizerRanks, EndWithTheOneThatFails) {
  try {
    on_ranks(3, [&](distributed::Ranks& own) {
      TokenizerRun run("line tokenizer", folder_ / "line", {}, own, at::kCPU);
      const BatchShare share("batch", 8, own.collectives());
      LineLearner learner(share, own.collectives().rank() == 1 ? 5 : -1);
      return run.train(line_settings(), share, learner);
    });
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "a broken sample");
  }
  EXPECT_FALSE(fs::exists(folder_.path() / "line"));
}

}  // namespace
}  // namespace omni::training
