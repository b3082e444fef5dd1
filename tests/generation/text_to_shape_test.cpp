#include "omni/generation/text_to_shape.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "omni/core/error.h"
#include "omni/core/interrupt.h"
#include "omni/model/cube3d_files.h"
#include "recording_keeper.h"
#include "small_cube3d.h"
#include "temporary_directory.h"

namespace omni::generation {
namespace {

constexpr std::int64_t kCodes = 8;  // of a shape

// The small Cube3D as it was published.
class TextToShape : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new test::TemporaryDirectory;
    test::write_small_cube3d(OMNI_TEST_FIXTURES, folder_->path());
    files_ = new model::Cube3dFiles(
        model::find_cube3d(folder_->path(), model::Cube3dVersion::v0_5, {}, *folder_ / "gpt.json"));
    text_ = model::open_cube3d_text(*files_).release();
    model_ = new model::Cube3dModel(model::open_cube3d(*files_));
  }
  static void TearDownTestSuite() {
    delete model_;
    delete text_;
    delete files_;
    delete folder_;
  }

  static TextToShapeRequest request(double temperature = 0) {
    TextToShapeRequest request;
    request.sampling.codes = kCodes;
    request.sampling.sampling.temperature = temperature;
    return request;
  }
  static std::vector<GeneratedSample> samples(const std::vector<std::string>& prompts,
                                              const std::vector<TextToShapeRequest>& requests,
                                              const SampleOptions& options = {}) {
    std::vector<GeneratedSample> samples;
    make_samples(*model_, text_features(*text_, prompts), requests, options,
                 [&](GeneratedSample sample) { samples.push_back(std::move(sample)); });
    return samples;
  }
  static std::vector<std::int32_t> codes(const std::string& prompt, const TextToShapeRequest& request) {
    return samples({prompt}, {request}).at(0).shapes.at(0).codes.geometry;
  }
  // As the publication spells it out.
  static std::vector<std::int32_t> reference_codes(const std::string& prompt, const at::Tensor& box,
                                                   double guidance) {
    const TextFeatures features = text_features(*text_, {prompt});
    return model_->gpt
        ->greedy_codes(model_->gpt->condition(features.prompts, box),
                       model_->gpt->condition(features.no_text, at::zeros({1, 3})),
                       {.steps = kCodes, .guidance = guidance})
        .at(0);
  }
  static std::string refusal(const TextToShapeRequest& request) {
    try {
      samples({"a chair"}, {request});
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage);
      return error.what();
    }
    return "";
  }

  static test::TemporaryDirectory* folder_;
  static model::Cube3dFiles* files_;
  static model::TextTower* text_;
  static model::Cube3dModel* model_;
};
test::TemporaryDirectory* TextToShape::folder_ = nullptr;
model::Cube3dFiles* TextToShape::files_ = nullptr;
model::TextTower* TextToShape::text_ = nullptr;
model::Cube3dModel* TextToShape::model_ = nullptr;

TEST_F(TextToShape, DrawsTheReferencesGreedyCodes) {
  for (const char* prompt : {"a small red chair", "a table", ""})
    for (const double guidance : {0.0, 3.0, 100.0}) {
      TextToShapeRequest plain = request();
      plain.sampling.guidance = guidance;
      EXPECT_EQ(codes(prompt, plain), reference_codes(prompt, at::zeros({1, 3}), guidance)) << prompt;
      TextToShapeRequest boxed = plain;
      boxed.box = geometry::Vec3{1, 2, 1.5f};
      const at::Tensor sides = at::tensor({0.9625, 1.925, 1.44375}).to(at::kFloat).view({1, 3});
      EXPECT_EQ(codes(prompt, boxed), reference_codes(prompt, sides, guidance)) << prompt;
      boxed.box = *boxed.box * 100;  // in another unit
      EXPECT_EQ(codes(prompt, boxed), reference_codes(prompt, sides, guidance)) << prompt;
    }
}

// Of three samples in one batch two have a code to draw when Ctrl-C comes, which is after their last one.
TEST_F(TextToShape, WholeSamplesAreFinishedAfterCtrlC) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  TextToShapeRequest brief = request();
  brief.sampling.first_codes = codes("a chair", brief);
  brief.sampling.first_codes.pop_back();
  const auto run = [&] {
    install_interrupt_handler();
    SampleOptions options;
    options.after_interrupt = AfterInterrupt::finish_drawn;
    options.on_progress = [](std::int64_t sampled, std::int64_t) {
      if (sampled > 3 && !interrupt_requested()) std::raise(SIGINT);
    };
    const std::vector<std::string> prompts = {"a chair", "a table", "a chair"};
    const std::vector<TextToShapeRequest> requests = {brief, request(), brief};
    try {
      make_samples(*model_, text_features(*text_, prompts), requests, options,
                   [](const GeneratedSample& sample) {
                     std::fprintf(stderr, "<%d>", static_cast<int>(sample.request));
                   });
    } catch (const Error& error) {
      std::exit(exit_code(error.kind()));
    }
    std::exit(0);
  };
  EXPECT_EXIT(run(), testing::ExitedWithCode(exit_code(ErrorKind::interrupted)), "<0><2>$");
}

TEST_F(TextToShape, ABoxInAnyUnitIsTheSameBox) {
  for (const int power : {-140, -1, 120}) {
    TextToShapeRequest boxed = request();
    boxed.box = geometry::Vec3{std::ldexp(1.0f, power), std::ldexp(2.0f, power), std::ldexp(1.5f, power)};
    const GeneratedSample sample = std::move(samples({"a chair"}, {boxed}).at(0));
    const geometry::Vec3 shares = sample.shapes.at(0).box_shares.value();
    EXPECT_EQ(shares.x, 0.5f) << power;
    EXPECT_EQ(shares.y, 1.0f) << power;
    EXPECT_EQ(shares.z, 0.75f) << power;
  }
}

TEST_F(TextToShape, TheMeshIsTheTokenizersOfTheCodes) {
  SampleOptions options;
  options.mesh = MeshOptions{.resolution = 24};
  const GeneratedSample sample = std::move(samples({"a chair"}, {request()}, options).at(0));
  const GeneratedShape& shape = sample.shapes.at(0);
  ExtractedMesh expected = extract_mesh(*model_->shape->decode({&shape.codes, 1}).at(0), {.resolution = 24});
  stand_on_ground(expected);
  ASSERT_FALSE(expected.empty());
  EXPECT_EQ(shape.mesh->mesh.positions, expected.mesh.positions);
  EXPECT_EQ(shape.mesh->mesh.triangles, expected.mesh.triangles);
  EXPECT_TRUE(shape.mesh->health.healthy());
  const auto& payload = std::get<sequence::ShapePayload>(sample.document.segments.at(0).payload);
  EXPECT_EQ(payload.geometry, shape.codes.geometry);
}

TEST_F(TextToShape, WhatRunsBesideASampleChangesNothing) {
  const std::vector<std::string> prompts = {"a chair", "a red table", "a mug"};
  std::vector<TextToShapeRequest> requests(3, request(1));
  requests[1].box = geometry::Vec3{1, 1, 3};
  requests[2].sampling.seed = 9;
  for (TextToShapeRequest& request : requests) request.count = 2;
  std::int64_t last = 0, bound = 0;
  SampleOptions options;
  options.on_progress = [&](std::int64_t sampled, std::int64_t all) { last = sampled, bound = all; };
  const std::vector<GeneratedSample> all = samples(prompts, requests, options);
  ASSERT_EQ(all.size(), 6u);
  EXPECT_EQ(last, 6 * kCodes);
  EXPECT_EQ(bound, last);
  options.sequences_per_batch = 2;
  const std::vector<GeneratedSample> one_by_one = samples(prompts, requests, options);
  for (std::size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(all[i].request, i / 2);
    EXPECT_EQ(all[i].sample_number, i % 2);
    EXPECT_EQ(all[i].shapes[0].codes.geometry, one_by_one[i].shapes[0].codes.geometry) << i;
    requests[i / 2].count = 1;
    if (i % 2 == 0) EXPECT_EQ(codes(prompts[i / 2], requests[i / 2]), all[i].shapes[0].codes.geometry) << i;
  }
}

TEST_F(TextToShape, OfSeveralDrawsTheMostProbableOneIsKept) {
  TextToShapeRequest several = request(1.5);
  several.count = 6;
  const std::vector<GeneratedSample> draws = samples({"a chair"}, {several});
  several.count = 2;
  several.best_of = 3;
  const std::vector<GeneratedSample> best = samples({"a chair"}, {several});
  ASSERT_EQ(best.size(), 2u);
  for (std::size_t k = 0; k < 2; ++k) {
    const auto likeliest =
        std::max_element(draws.begin() + 3 * k, draws.begin() + 3 * k + 3,
                         [](const auto& a, const auto& b) { return a.log_probability < b.log_probability; });
    EXPECT_EQ(best[k].sample_number, k);
    EXPECT_EQ(best[k].log_probability, likeliest->log_probability);
    EXPECT_EQ(best[k].shapes[0].codes.geometry, likeliest->shapes[0].codes.geometry);
  }
}

// Among them the best of several, of which some draws were whole and some had not begun.
TEST_F(TextToShape, SamplesThatWereStoppedEndAsIfTheyHadNotBeen) {
  std::vector<TextToShapeRequest> requests(2, request(1.5));
  requests[0].count = 2;
  requests[0].best_of = 3;
  requests[1].first_sample = 4;
  const std::vector<std::string> prompts = {"a chair", "a red table"};
  SampleOptions options;
  options.sequences_per_batch = 8;  // four draws
  const std::vector<GeneratedSample> expected = samples(prompts, requests, options);
  ASSERT_EQ(expected.size(), 3u);
  EXPECT_EQ(expected[2].sample_number, 4u);
  for (const int stopped_after : {1, 5, 9, 12}) {
    test::RecordingKeeper keeper(stopped_after);
    options.keeper = &keeper;
    samples(prompts, requests, options);
    ASSERT_GT(keeper.tokens(), 0u);
    std::int64_t last = 0, bound = -1;
    options.on_progress = [&](std::int64_t sampled, std::int64_t all) { last = sampled, bound = all; };
    const std::vector<GeneratedSample> resumed = samples(prompts, requests, options);
    options.on_progress = nullptr;
    EXPECT_EQ(last, bound);
    ASSERT_EQ(resumed.size(), expected.size());
    for (std::size_t i = 0; i < resumed.size(); ++i) {
      EXPECT_EQ(resumed[i].sample_number, expected[i].sample_number);
      EXPECT_EQ(resumed[i].shapes[0].codes.geometry, expected[i].shapes[0].codes.geometry) << i;
      EXPECT_EQ(resumed[i].log_probability, expected[i].log_probability) << i;
    }
  }
}

TEST_F(TextToShape, CompletesTheCodesThatAreGiven) {
  const std::vector<std::int32_t> whole = codes("a chair", request());
  TextToShapeRequest completing = request();
  completing.sampling.first_codes = {whole.begin(), whole.begin() + 5};
  EXPECT_EQ(codes("a chair", completing), whole);
  completing.sampling.first_codes = whole;
  EXPECT_EQ(codes("a chair", completing), whole);
}

// CLIP's reference cuts a text after its 75th token.
TEST_F(TextToShape, ALongTextIsReadAsFarAsTheTowerReaches) {
  std::string longest;
  for (int i = 0; i < 75; ++i) longest += "a ";
  const at::Tensor expected = text_features(*text_, {longest}).prompts;
  std::string megabyte;
  while (megabyte.size() < (1 << 20)) megabyte += "a ";
  EXPECT_TRUE(text_features(*text_, {megabyte}).prompts.equal(expected));
  EXPECT_FALSE(text_features(*text_, {"a"}).prompts.equal(expected));
}

TEST_F(TextToShape, NoTextHasTheFeaturesThatGuidanceLeadsAwayFrom) {
  const TextFeatures features = text_features(*text_, {"", "a chair"});
  EXPECT_TRUE(features.prompts[0].equal(features.no_text[0]));
  EXPECT_FALSE(features.prompts[1].equal(features.no_text[0]));
}

TEST_F(TextToShape, MeaninglessRequestsAreRefused) {
  const auto boxed = [](float x, float y, float z) {
    TextToShapeRequest boxed = request();
    boxed.box = geometry::Vec3{x, y, z};
    return boxed;
  };
  using testing::HasSubstr;
  EXPECT_THAT(refusal(boxed(0, 1, 1)), HasSubstr("along x is 0"));
  EXPECT_THAT(refusal(boxed(1, -2, 1)), HasSubstr("along y is -2"));
  EXPECT_THAT(refusal(boxed(1, 1, NAN)), HasSubstr("along z is nan"));
  EXPECT_THAT(refusal(boxed(1, INFINITY, 1)), HasSubstr("along y is inf"));
  TextToShapeRequest wrong = request();
  wrong.sampling.guidance = 101;
  EXPECT_THAT(refusal(wrong), HasSubstr("not between 0 and 100"));
  wrong = request();
  wrong.best_of = 2;
  EXPECT_THAT(refusal(wrong), HasSubstr("temperature 0"));
  wrong = request();
  wrong.sampling.codes = 7;
  EXPECT_THAT(refusal(wrong), HasSubstr("a shape has 8"));
  wrong = request();
  wrong.sampling.first_codes = {32};
  EXPECT_THAT(refusal(wrong), HasSubstr("name 32"));
}

TEST(TextToShapeWithoutBoxes, RefusesOneByItsName) {
  model::Cube3dGptConfig config;
  config.box = false;
  TextToShapeRequest request;
  EXPECT_NO_THROW(check_request(request, config));
  request.box = geometry::Vec3{1, 1, 1};
  EXPECT_THROW(check_request(request, config), Error);
}

}  // namespace
}  // namespace omni::generation
