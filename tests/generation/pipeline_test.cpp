#include "omni/generation/pipeline.h"

#include <gtest/gtest.h>

#include "generation_fixtures.h"
#include "omni/core/error.h"
#include "omni/generation/mesh_export.h"

namespace omni::generation {
namespace {

class Pipeline : public ::testing::Test {
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
        request.shapes.push_back({.sample = {}, .codes = codes, .longest_side_m = 2.0f, .extent = {}});
      }
    }
    return request;
  }

  static std::string error_of(const GenerationRequest& request) {
    try {
      Generator(*bundle_).check(request);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage);
      return error.what();
    }
    return "";
  }
};
model::Bundle* Pipeline::bundle_ = nullptr;

TEST_F(Pipeline, ServesEveryTask) {
  std::vector<GenerationRequest> requests;
  for (const std::string& name : sequence::built_in_task_names()) requests.push_back(request(name));
  const std::vector<GeneratedSample> samples = Generator(*bundle_).generate(requests);
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
      const ExtractedMesh mesh = extract_mesh(*shape.field, {});
      EXPECT_TRUE(mesh.mesh.triangles.empty() || (mesh.health.closed() && mesh.health.manifold()));
    }
  }
}

TEST_F(Pipeline, NumbersSamplesAndRepeatsThem) {
  GenerationRequest three = request("text->shape");
  three.count = 3;
  const auto all = Generator(*bundle_).generate({&three, 1});
  ASSERT_EQ(all.size(), 3u);
  GenerationRequest last = three;
  last.count = 1;
  last.first_sample = 2;
  const auto again = Generator(*bundle_).generate({&last, 1});
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

TEST_F(Pipeline, PutsTheViewIntoTheImage) {
  GenerationRequest seen = request("shape->image@view");
  seen.view = View{45, 30};
  const auto samples = Generator(*bundle_).generate({&seen, 1});
  const auto& image = std::get<sequence::ImagePayload>(samples[0].document.segments[1].payload);
  EXPECT_EQ(image.azimuth, 3);
  EXPECT_EQ(image.elevation, 4);
  const GenerationRequest blind = request("shape->image");
  const auto& any = std::get<sequence::ImagePayload>(
      Generator(*bundle_).generate({&blind, 1})[0].document.segments[1].payload);
  EXPECT_FALSE(any.azimuth.has_value());
}

TEST_F(Pipeline, DropsMissingConditionsOnlyOnDemand) {
  GenerationRequest empty = request("text->shape");
  empty.prompts.clear();
  EXPECT_NE(error_of(empty).find("--prompt"), std::string::npos);
  empty.allow_missing = true;
  EXPECT_TRUE(Generator(*bundle_).generate({&empty, 1})[0].document.segments[0].dropped);
}

TEST_F(Pipeline, NamesWhatIsWrongBeforeAnyWork) {
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

  GenerationRequest none = request("text->shape");
  none.count = 0;
  EXPECT_NE(error_of(none), "");

  const model::Bundle blind = testing::tiny_bundle(false);
  GenerationRequest seen = request("shape->image@view");
  seen.view = View{};
  EXPECT_THROW(Generator(blind).check(seen), Error);
}

TEST_F(Pipeline, ReportsProgressUpToTheBound) {
  GenerationRequest text = request("text->image");
  GeneratorOptions options;
  std::int64_t last = 0, limit = 0;
  options.on_progress = [&](std::int64_t sampled, std::int64_t bound) {
    EXPECT_GT(sampled, last);
    last = sampled;
    limit = bound;
  };
  (void)Generator(*bundle_, options).generate({&text, 1});
  EXPECT_GT(last, 0);
  EXPECT_LE(last, limit);
}

}  // namespace
}  // namespace omni::generation
