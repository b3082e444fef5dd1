#include "omni/generation/make_samples.h"

#include <ATen/record_function.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <limits>

#include "generation_fixtures.h"
#include "omni/core/error.h"
#include "omni/core/interrupt.h"

namespace omni::generation {
namespace {

class MakeSamples : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { bundle_ = new model::Bundle(testing::tiny_bundle()); }
  static void TearDownTestSuite() { delete bundle_; }
  static model::Bundle* bundle_;

  static GenerationRequest request(const std::string& task) {
    GenerationRequest request;
    request.task = sequence::built_in_task(task);
    tokenizers::ShapeCodes codes;
    codes.geometry.assign(static_cast<std::size_t>(bundle_->tokenizers.shape()->geometry_code_count()), 3);
    codes.colour.assign(static_cast<std::size_t>(bundle_->tokenizers.shape()->colour_code_count()), 1);
    for (const sequence::TaskSegment& segment : request.task.segments) {
      if (segment.loss) continue;
      if (segment.modality == sequence::Modality::text) request.prompts.push_back("a red chair");
      if (segment.modality == sequence::Modality::image) {
        request.images.push_back({.image = image::Image(20, 10, 3, 90), .view = {}});
      }
      if (segment.modality == sequence::Modality::shape) {
        request.shapes.push_back({.shape = codes, .longest_side_m = 2.0f, .extent = {}});
      }
    }
    return request;
  }

  static std::vector<GeneratedSample> samples_of(std::span<const GenerationRequest> requests,
                                                 const SampleOptions& options = {}) {
    std::vector<GeneratedSample> samples;
    make_samples(*bundle_, requests, options,
                 [&](GeneratedSample sample) { samples.push_back(std::move(sample)); });
    return samples;
  }

  static std::string error_of(const GenerationRequest& request) {
    try {
      make_samples(*bundle_, {&request, 1}, {}, [](const GeneratedSample&) {});
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage);
      return error.what();
    }
    return "";
  }
};
model::Bundle* MakeSamples::bundle_ = nullptr;

// A draw is keyed by its place, so what follows given codes is what followed them before.
TEST_F(MakeSamples, CompletesTheCodesThatAreGiven) {
  GenerationRequest completing = request("text->shape");
  const std::vector<std::int32_t> whole = samples_of({&completing, 1}).at(0).shapes.at(0).codes.geometry;
  ASSERT_GT(whole.size(), 5u);
  completing.first_codes = {whole.begin(), whole.begin() + 5};
  EXPECT_EQ(samples_of({&completing, 1}).at(0).shapes.at(0).codes.geometry, whole);
  const std::int32_t other = whole[0] == 0 ? 1 : 0;
  completing.first_codes = {other};
  EXPECT_EQ(samples_of({&completing, 1}).at(0).shapes.at(0).codes.geometry.at(0), other);
  using ::testing::HasSubstr;
  completing.first_codes.assign(whole.size() + 1, 0);
  EXPECT_THAT(error_of(completing), HasSubstr("--first-codes"));
  completing.first_codes = {-1};
  EXPECT_THAT(error_of(completing), HasSubstr("name -1"));
  GenerationRequest text = request("shape->text");
  text.first_codes = {0};
  EXPECT_THAT(error_of(text), HasSubstr("it makes none"));
}

TEST_F(MakeSamples, ServesEveryTask) {
  std::vector<GenerationRequest> requests;
  for (const std::string& name : sequence::built_in_task_names()) requests.push_back(request(name));
  SampleOptions options;
  options.mesh.emplace();
  const std::vector<GeneratedSample> samples = samples_of(requests, options);
  ASSERT_EQ(samples.size(), requests.size());
  for (std::size_t i = 0; i < samples.size(); ++i) {
    std::size_t texts = 0, images = 0, shapes = 0;
    for (const sequence::TaskSegment& segment : requests[i].task.segments) {
      if (!segment.loss) continue;
      texts += segment.modality == sequence::Modality::text ? 1 : 0;
      images += segment.modality == sequence::Modality::image ? 1 : 0;
      shapes += segment.modality == sequence::Modality::shape ? 1 : 0;
    }
    EXPECT_EQ(samples[i].texts.size(), texts) << requests[i].task.name;
    ASSERT_EQ(samples[i].images.size(), images) << requests[i].task.name;
    ASSERT_EQ(samples[i].shapes.size(), shapes) << requests[i].task.name;
    for (const image::Image& image : samples[i].images) EXPECT_EQ(image.width, 16);
    for (const GeneratedShape& shape : samples[i].shapes) {
      ASSERT_NE(shape.field, nullptr);
      EXPECT_TRUE(shape.longest_side_m.has_value());
      ASSERT_TRUE(shape.mesh.has_value());
      EXPECT_TRUE(shape.mesh->empty() || shape.mesh->health.healthy());
    }
  }
}

TEST_F(MakeSamples, NumbersSamplesAndRepeatsThem) {
  GenerationRequest three = request("text->shape");
  three.count = 3;
  const auto all = samples_of({&three, 1});
  ASSERT_EQ(all.size(), 3u);
  GenerationRequest last = three;
  last.count = 1;
  last.first_sample = 2;
  const auto again = samples_of({&last, 1});
  EXPECT_EQ(again.front().document, all[2].document);
  EXPECT_NE(all[0].document, all[1].document);
  // The field, too, is the same to the last bit.
  CounterRng rng(3);
  std::vector<geometry::Vec3> points(500);
  for (geometry::Vec3& p : points)
    for (std::size_t axis = 0; axis < 3; ++axis) p[axis] = static_cast<float>(rng.uniform(-1, 1));
  std::vector<float> beside(points.size()), alone(points.size());
  all[2].shapes.front().field->values(points, beside);
  again.front().shapes.front().field->values(points, alone);
  EXPECT_EQ(beside, alone);
}

TEST_F(MakeSamples, TheBestOfSeveralDrawsIsTheMostProbable) {
  GenerationRequest draws = request("text->shape");
  draws.count = 12;
  const auto all = samples_of({&draws, 1});
  GenerationRequest best = draws;
  best.count = 2;
  best.first_sample = 1;
  best.best_of = 4;
  SampleOptions options;
  options.sequences_per_batch = 3;  // draws of one sample lie in several batches
  const auto samples = samples_of({&best, 1}, options);
  ASSERT_EQ(samples.size(), 2u);
  for (std::size_t i = 0; i < 2; ++i) {
    const auto first = all.begin() + 4 * (1 + static_cast<std::ptrdiff_t>(i));
    const auto wanted = std::max_element(
        first, first + 4, [](const auto& a, const auto& b) { return a.log_probability < b.log_probability; });
    EXPECT_EQ(samples[i].sample_number, i + 1);
    EXPECT_EQ(samples[i].document, wanted->document);
    EXPECT_EQ(samples[i].log_probability, wanted->log_probability);
  }
  best.sampling.temperature = 0;
  EXPECT_NE(error_of(best).find("temperature"), std::string::npos);
  best.sampling.temperature = 1;
  best.best_of = 0;
  EXPECT_NE(error_of(best).find("best of 0"), std::string::npos);
}

// Runs in a process of its own, and tells there what is handed on: <request.sample>.
class MakeSamplesInterrupted : public MakeSamples {
 protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }

  // Ctrl-C comes as soon as more tokens than that are sampled, or with the first sample.
  struct Signal {
    std::int64_t after_tokens = std::numeric_limits<std::int64_t>::max();
    bool with_sample = false;
  };
  [[noreturn]] static void run(std::span<const GenerationRequest> requests, SampleOptions options,
                               const Signal& signal) {
    install_interrupt_handler();
    options.mesh.emplace();
    options.on_progress = [&](std::int64_t sampled, std::int64_t) {
      if (sampled > signal.after_tokens && !interrupt_requested()) std::raise(SIGINT);
    };
    try {
      make_samples(*bundle_, requests, options, [&](const GeneratedSample& sample) {
        std::fprintf(stderr, "<%d.%d%s>", static_cast<int>(sample.request),
                     static_cast<int>(sample.sample_number), sample.shapes.at(0).mesh ? "" : " bare");
        if (signal.with_sample && !interrupt_requested()) std::raise(SIGINT);
      });
    } catch (const Error& error) {
      std::exit(exit_code(error.kind()));
    }
    std::exit(0);
  }
  static std::int64_t tokens_of(const GenerationRequest& request) {
    std::int64_t tokens = 0;
    SampleOptions options;
    options.on_progress = [&](std::int64_t sampled, std::int64_t) { tokens = sampled; };
    (void)samples_of({&request, 1}, options);
    return tokens;
  }
};
const auto kInterrupted = ::testing::ExitedWithCode(exit_code(ErrorKind::interrupted));

TEST_F(MakeSamplesInterrupted, WholeSamplesOfABatchAreFinished) {
  const GenerationRequest lengthy = request("text->shape");
  GenerationRequest brief = lengthy;
  brief.first_codes = samples_of({&lengthy, 1}).at(0).shapes.at(0).codes.geometry;
  brief.first_codes.resize(brief.first_codes.size() - 2);
  ASSERT_LT(tokens_of(brief), tokens_of(lengthy));
  const std::vector<GenerationRequest> requests = {lengthy, brief, lengthy, brief};
  const Signal signal{.after_tokens = 4 * tokens_of(brief)};  // all are in step until then
  SampleOptions options;
  EXPECT_EXIT(run(requests, options, signal), kInterrupted, "^$");
  options.after_interrupt = AfterInterrupt::finish_drawn;
  EXPECT_EXIT(run(requests, options, signal), kInterrupted, "2 samples.*\n<1.0><3.0>$");
}

TEST_F(MakeSamplesInterrupted, BatchesBeforeAreHandedOn) {
  GenerationRequest four = request("text->shape");
  const std::int64_t each = tokens_of(four);
  four.count = 4;
  SampleOptions options;
  options.sequences_per_batch = 1;
  EXPECT_EXIT(run({&four, 1}, options, {.after_tokens = 2 * each}), kInterrupted, "^<0.0><0.1>$");
}

TEST_F(MakeSamplesInterrupted, WhatIsDrawnIsFinishedAndNoMoreIsDrawn) {
  GenerationRequest five = request("text->shape");
  five.count = 5;
  SampleOptions options;
  options.sequences_per_batch = 3;
  const Signal signal{.with_sample = true};
  EXPECT_EXIT(run({&five, 1}, options, signal), kInterrupted, "^<0.0>$");
  options.after_interrupt = AfterInterrupt::finish_drawn;
  EXPECT_EXIT(run({&five, 1}, options, signal), kInterrupted, "2 samples.*\n<0.1><0.2>$");
  five.count = 3;
  EXPECT_EXIT(run({&five, 1}, options, signal), ::testing::ExitedWithCode(0), "<0.2>$") << "all are made";
}

TEST_F(MakeSamples, TellsTimesThatAddUp) {
  GenerationRequest three = request("text->image->shape");
  three.count = 3;
  three.best_of = 2;
  SampleOptions options;
  options.sequences_per_batch = 4;
  options.mesh.emplace();
  const auto begun = std::chrono::steady_clock::now();
  const auto samples = samples_of({&three, 1}, options);
  const std::chrono::duration<double> all = std::chrono::steady_clock::now() - begun;
  double sum = 0;
  for (const GeneratedSample& sample : samples) {
    EXPECT_GT(sample.drawing_seconds, 0);
    EXPECT_GT(sample.meshing_seconds, 0);
    sum += sample.drawing_seconds + sample.meshing_seconds;
  }
  EXPECT_LE(sum, all.count());
}

TEST_F(MakeSamples, PutsTheViewIntoTheImage) {
  GenerationRequest seen = request("shape->image@view");
  seen.view = View{45, 30};
  const auto samples = samples_of({&seen, 1});
  const auto& image = std::get<sequence::ImagePayload>(samples[0].document.segments[1].payload);
  EXPECT_EQ(image.azimuth, 3);
  EXPECT_EQ(image.elevation, 4);
  const GenerationRequest blind = request("shape->image");
  const auto unseen = samples_of({&blind, 1});
  EXPECT_FALSE(std::get<sequence::ImagePayload>(unseen[0].document.segments[1].payload).azimuth.has_value());
}

TEST_F(MakeSamples, DropsMissingConditionsOnlyOnDemand) {
  GenerationRequest empty = request("text->shape");
  empty.prompts.clear();
  EXPECT_NE(error_of(empty).find("--prompt"), std::string::npos);
  empty.allow_missing = true;
  EXPECT_TRUE(samples_of({&empty, 1})[0].document.segments[0].dropped);
}

TEST_F(MakeSamples, NamesWhatIsWrongBeforeAnyWork) {
  GenerationRequest two = request("text->shape");
  two.prompts.push_back("another");
  EXPECT_NE(error_of(two).find("takes 1 times"), std::string::npos);

  GenerationRequest lengthy = request("text->shape");
  lengthy.prompts[0] = std::string(400, 'x');
  EXPECT_NE(error_of(lengthy).find("at most 16"), std::string::npos);

  GenerationRequest detail = request("text->shape");
  detail.geometry_codes = 5;
  EXPECT_NE(error_of(detail).find("not offered"), std::string::npos);

  GenerationRequest view = request("text->shape");
  view.view = View{};
  EXPECT_NE(error_of(view).find("image@view"), std::string::npos);

  GenerationRequest cold = request("text->shape");
  cold.sampling.temperature = -1;
  EXPECT_NE(error_of(cold), "");

  GenerationRequest pushed = request("text->shape");
  pushed.guidance.by_modality = {{sequence::Modality::text, -1}};
  EXPECT_NE(error_of(pushed).find("guidance"), std::string::npos);

  GenerationRequest none = request("text->shape");
  none.count = 0;
  EXPECT_NE(error_of(none), "");

  const model::Bundle blind = testing::tiny_bundle(false);
  GenerationRequest seen = request("shape->image@view");
  seen.view = View{};
  EXPECT_THROW(check_request(seen, blind), Error);
}

TEST_F(MakeSamples, ReportsProgressUpToTheBound) {
  GenerationRequest text = request("image->text");
  text.count = 2;
  SampleOptions options;
  std::int64_t last = 0, limit = 0, first_limit = 0;
  options.on_progress = [&](std::int64_t sampled, std::int64_t bound) {
    EXPECT_GE(sampled, last);
    last = sampled;
    limit = bound;
    if (first_limit == 0) first_limit = bound;
    EXPECT_LE(sampled, bound);
  };
  const auto samples = samples_of({&text, 1}, options);
  EXPECT_GT(last, 0);
  EXPECT_EQ(last, limit) << "the end is told, though the bound was higher";
  EXPECT_EQ(first_limit, 2 * bundle_->layout().text_capacity);
}

TEST_F(MakeSamples, HandsEachSampleOnBeforeTheNextIsDrawn) {
  GenerationRequest three = request("text->image");
  three.count = 3;
  SampleOptions options;
  options.sequences_per_batch = 1;
  std::int64_t sampled = 0;
  options.on_progress = [&](std::int64_t so_far, std::int64_t) { sampled = so_far; };
  std::vector<std::uint64_t> numbers;
  struct Enough {};
  const auto take_two = [&](const GeneratedSample& sample) {
    numbers.push_back(sample.sample_number);
    EXPECT_EQ(sampled, static_cast<std::int64_t>(numbers.size()) * bundle_->layout().image_codes());
    if (numbers.size() == 2) throw Enough();
  };
  EXPECT_THROW(make_samples(*bundle_, {&three, 1}, options, take_two), Enough);
  EXPECT_EQ(numbers, (std::vector<std::uint64_t>{0, 1}));
}

// Counts what is encoded and decodes to a ball that everybody can measure, or to nothing.
class CountingShapes : public tokenizers::ShapeTokenizer {
 public:
  CountingShapes(std::unique_ptr<tokenizers::ShapeTokenizer> inner, int& encoded, float radius)
      : inner_(std::move(inner)), encoded_(encoded), radius_(radius) {}

  tokenizers::ShapeInput required_input() const override { return inner_->required_input(); }
  std::int64_t geometry_code_count() const override { return inner_->geometry_code_count(); }
  std::int64_t geometry_vocabulary() const override { return inner_->geometry_vocabulary(); }
  std::vector<std::int64_t> offered_lengths() const override { return inner_->offered_lengths(); }
  std::int64_t colour_code_count() const override { return inner_->colour_code_count(); }
  std::int64_t colour_vocabulary() const override { return inner_->colour_vocabulary(); }
  std::int64_t geometry_grid_side() const override { return inner_->geometry_grid_side(); }
  std::int64_t colour_grid_side() const override { return inner_->colour_grid_side(); }
  at::Tensor geometry_codebook() const override { return inner_->geometry_codebook(); }
  at::Tensor colour_codebook() const override { return inner_->colour_codebook(); }
  std::vector<tokenizers::ShapeCodes> encode(
      std::span<const tokenizers::ShapeSample> samples) const override {
    encoded_ += static_cast<int>(samples.size());
    return inner_->encode(samples);
  }
  std::vector<std::unique_ptr<tokenizers::DecodedShape>> decode(
      std::span<const tokenizers::ShapeCodes> codes) const override {
    std::vector<std::unique_ptr<tokenizers::DecodedShape>> balls;
    for (std::size_t i = 0; i < codes.size(); ++i) balls.push_back(std::make_unique<Ball>(radius_));
    return balls;
  }
  tokenizers::StoredTokenizer stored() const override { return inner_->stored(); }

 private:
  struct Ball : tokenizers::DecodedShape {
    explicit Ball(float radius) : radius(radius) {}
    void values(std::span<const geometry::Vec3> points, std::span<float> values) const override {
      for (std::size_t i = 0; i < points.size(); ++i) values[i] = radius - length(points[i]);
    }
    void colour(std::span<const geometry::Vec3>, std::span<geometry::Vec3> colours) const override {
      std::fill(colours.begin(), colours.end(), geometry::Vec3{0.8f, 0.8f, 0.8f});
    }
    bool has_colour() const override { return false; }
    float radius;
  };

  std::unique_ptr<tokenizers::ShapeTokenizer> inner_;
  int& encoded_;
  float radius_;
};

// How often LibTorch is asked for a convolution: the image tokenizer makes them, the transformer none.
int convolutions_during(const std::function<void()>& work) {
  static std::atomic<int> count;
  count = 0;
  const auto counting =
      at::addGlobalCallback(at::RecordFunctionCallback([](const at::RecordFunction& function)
                                                           -> std::unique_ptr<at::ObserverContext> {
                              if (std::string_view(function.name()) == "aten::convolution") ++count;
                              return nullptr;
                            }).scopes({at::RecordScope::FUNCTION}));
  work();
  at::removeCallback(counting);
  return count;
}

TEST_F(MakeSamples, TakesTheCodesOfAnImageForIt) {
  std::vector<GenerationRequest> requests(2, request("image->shape"));
  image::Image image(16, 16, 3, 40);
  image::paste(image, image::Image(8, 8, 3, 220), 3, 5);
  requests[0].images[0].image = image;
  requests[1].images[0].image = bundle_->tokenizers.image()->encode({&image, 1}).front();
  const std::vector<GeneratedSample> samples = samples_of(requests);
  ASSERT_EQ(samples.size(), 2u);
  EXPECT_EQ(samples[0].document, samples[1].document);
}

TEST_F(MakeSamples, EncodesAnImageOnceForAllItsSamples) {
  GenerationRequest described = request("image->text");
  const int once = convolutions_during([&] {
    (void)bundle_->tokenizers.image()->encode(
        std::span(&std::get<image::Image>(described.images[0].image), 1));
  });
  ASSERT_GT(once, 0);
  described.count = 5;
  described.guidance.everywhere = 2;
  SampleOptions options;
  options.sequences_per_batch = 2;  // one sample a batch
  EXPECT_EQ(convolutions_during([&] { (void)samples_of({&described, 1}, options); }), once);
}

class MakeMeshes : public MakeSamples {
 protected:
  static model::Bundle bundle_of_balls(float radius, int& encoded) {
    auto shapes = std::make_unique<CountingShapes>(
        std::make_unique<tokenizers::GridShapeTokenizer>(testing::tiny_shape_config(), 5), encoded, radius);
    return testing::tiny_bundle_with(std::move(shapes));
  }
};

TEST_F(MakeMeshes, EncodesAMeshOnceForAllItsSamples) {
  int encoded = 0;
  const model::Bundle bundle = bundle_of_balls(0.5f, encoded);
  GenerationRequest edited = request("shape+text->shape");
  geometry::Mesh wedge;
  wedge.positions = {{0, 0, 0}, {4, 0, 0}, {0, 2, 0}, {0, 0, 1}};
  wedge.triangles = {{0, 2, 1}, {0, 1, 3}, {0, 3, 2}, {1, 2, 3}};
  edited.shapes = {shape_condition(wedge)};
  edited.count = 4;
  SampleOptions options;
  options.sequences_per_batch = 1;
  make_meshes(bundle, edited, options, [](const GeneratedSample&) {});
  EXPECT_EQ(encoded, 1);
}

TEST_F(MakeMeshes, LeadsFromARequestToMeshesInMetres) {
  int encoded = 0;
  const model::Bundle bundle = bundle_of_balls(0.96f, encoded);  // as wide as the frame
  GenerationRequest two = request("text->image->shape");
  two.count = 2;
  SampleOptions options;
  options.mesh = MeshOptions{.resolution = 48, .snap_to_box = true};
  std::vector<GeneratedSample> samples;
  make_meshes(bundle, two, options, [&](GeneratedSample sample) { samples.push_back(std::move(sample)); });
  ASSERT_EQ(samples.size(), 2u);
  for (const GeneratedSample& sample : samples) {
    EXPECT_EQ(sample.images.size(), 1u);
    const GeneratedShape& shape = sample.shapes.back();
    ASSERT_TRUE(shape.mesh && shape.longest_side_m && shape.box_shares);
    EXPECT_TRUE(shape.mesh->health.healthy());
    const geometry::Vec3 extent = shape.mesh->mesh.bounds().extent();
    EXPECT_NEAR(shape.mesh->mesh.bounds().low.y, 0, 1e-6f);
    for (std::size_t axis = 0; axis < 3; ++axis) {
      const float side = *shape.longest_side_m * (*shape.box_shares)[axis];
      EXPECT_NEAR(extent[axis], side, 1e-3f * side);
    }
  }
}

TEST_F(MakeMeshes, TellsOfAnEmptyShapeAndGoesOn) {
  int encoded = 0;
  const model::Bundle bundle = bundle_of_balls(-1, encoded);
  GenerationRequest two = request("text->shape");
  two.count = 2;
  int empty = 0;
  make_meshes(bundle, two, {},
              [&](const GeneratedSample& sample) { empty += sample.shapes.back().mesh->empty() ? 1 : 0; });
  EXPECT_EQ(empty, 2);
}

TEST_F(MakeMeshes, RefusesATaskWithoutAShape) {
  EXPECT_THROW(make_meshes(*bundle_, request("shape->text"), {}, [](const GeneratedSample&) {}), Error);
  SampleOptions coarse;
  coarse.mesh = MeshOptions{.resolution = 3};
  EXPECT_THROW(make_meshes(*bundle_, request("text->shape"), coarse, [](const GeneratedSample&) {}), Error);
}

}  // namespace
}  // namespace omni::generation
