// A Cube3D on a GPU against the processor.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "omni/generation/text_to_shape.h"
#include "omni/model/cube3d_files.h"
#include "omni/model/decoding_memory.h"
#include "small_cube3d.h"
#include "temporary_directory.h"
#include "test_device.h"

namespace omni::generation {
namespace {

constexpr std::int64_t kCodes = 8;  // of a shape of the small Cube3D

std::vector<float> values_of(const tokenizers::DecodedShape& shape) {
  std::vector<geometry::Vec3> points;
  for (int i = 0; i < 9000; ++i)  // more than one chunk
    points.push_back({0.9f - 0.0002f * static_cast<float>(i), 0.1f * static_cast<float>(i % 7) - 0.3f,
                      0.05f * static_cast<float>(i % 11) - 0.25f});
  std::vector<float> values(points.size());
  shape.values(points, values);
  return values;
}

float largest_difference(std::span<const float> a, std::span<const float> b) {
  float largest = a.size() == b.size() ? 0 : INFINITY;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i)
    largest = std::max(largest, std::abs(a[i] - b[i]));
  return largest;
}

std::span<const float> coordinates(const geometry::Mesh& mesh) {
  return {reinterpret_cast<const float*>(mesh.positions.data()), 3 * mesh.positions.size()};
}

class TextToShapeGpu : public testing::Test {
 protected:
  void SetUp() override {
    if (!test::device_refusal().empty()) GTEST_SKIP() << test::device_refusal();
    test::write_small_cube3d(OMNI_TEST_FIXTURES, folder_.path());
    files_ = model::find_cube3d(folder_.path(), model::Cube3dVersion::v0_5, {}, folder_ / "gpt.json");
  }

  static std::vector<GeneratedSample> samples(const model::TextTower& text, const model::Cube3dModel& model,
                                              const std::string& precision = "fp32") {
    const std::vector<std::string> prompts = {"a small red chair", "a mug"};
    std::vector<TextToShapeRequest> requests(2);
    for (TextToShapeRequest& request : requests) {
      request.count = 2;
      request.sampling.codes = kCodes;
      request.sampling.sampling.temperature = 1;
    }
    requests[1].box = geometry::Vec3{1, 2, 1.5f};
    SampleOptions options;
    options.precision = model::parse_decode_precision(precision);
    options.mesh = MeshOptions{.resolution = 24};
    options.sequences_per_batch = 2;  // so that batches are finished while others are drawn
    std::vector<GeneratedSample> samples;
    make_samples(model, text_features(text, prompts), requests, options,
                 [&](GeneratedSample sample) { samples.push_back(std::move(sample)); });
    return samples;
  }

  const test::TemporaryDirectory folder_;
  model::Cube3dFiles files_;
};

TEST_F(TextToShapeGpu, InFp32TheSameSeedMakesTheProcessorsShapes) {
  const std::unique_ptr<model::TextTower> text = model::open_cube3d_text(files_);
  const TextFeatures features = text_features(*text, {"a small red chair"});
  const std::vector<GeneratedSample> expected = samples(*text, model::open_cube3d(files_));
  text->to(test::device());
  const TextFeatures on_device = text_features(*text, {"a small red chair"});
  ASSERT_TRUE(on_device.prompts.is_cpu());
  EXPECT_LT(test::relative_error(on_device.prompts, features.prompts), 1e-5);
  EXPECT_LT(test::relative_error(on_device.no_text, features.no_text), 1e-5);
  const std::vector<GeneratedSample> found = samples(*text, model::open_cube3d(files_, test::device()));
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    const GeneratedShape &own = found[i].shapes.at(0), &other = expected[i].shapes.at(0);
    EXPECT_EQ(own.codes.geometry, other.codes.geometry) << i;
    EXPECT_NEAR(found[i].log_probability, expected[i].log_probability, 1e-3) << i;
    EXPECT_LT(largest_difference(values_of(*own.field), values_of(*other.field)), 1e-3f) << i;
    ASSERT_FALSE(own.mesh->empty());
    EXPECT_EQ(own.mesh->mesh.triangles, other.mesh->mesh.triangles) << i;
    EXPECT_LT(largest_difference(coordinates(own.mesh->mesh), coordinates(other.mesh->mesh)), 1e-3f) << i;
  }
}

// A code may be another one there, so that the field of the same codes is compared.
TEST_F(TextToShapeGpu, HalfPrecisionMakesNearlyTheProcessorsFields) {
  const std::unique_ptr<model::TextTower> text = model::open_cube3d_text(files_);
  text->to(test::device());
  const std::unique_ptr<tokenizers::ShapeTokenizer> expected = model::open_shape_tokenizer(files_);
  const model::Cube3dModel model = model::open_cube3d(files_, test::device());
  model.gpt->transformer().set_activation_type(at::kBFloat16);
  model.shape->compute_in(at::kBFloat16);
  for (const char* precision : {"bf16", "int8"}) {
    const std::vector<GeneratedSample> found = samples(*text, model, precision);
    ASSERT_EQ(found.size(), 4u);
    for (const GeneratedSample& sample : found) {
      const GeneratedShape& shape = sample.shapes.at(0);
      ASSERT_EQ(shape.codes.geometry.size(), static_cast<std::size_t>(kCodes)) << precision;
      EXPECT_TRUE(shape.mesh->health.healthy()) << precision;
      const std::vector<float> values = values_of(*shape.field),
                               others = values_of(*expected->decode({&shape.codes, 1}).at(0));
      const auto tensor = [](const std::vector<float>& of) { return at::tensor(of); };
      EXPECT_LT(test::relative_error(tensor(values), tensor(others)), 0.03) << precision;
    }
  }
}

// Matrices that are there in bf16 alone are those that products in bf16 round to.
TEST_F(TextToShapeGpu, MatricesInHalfPrecisionAloneMakeTheSameShapes) {
  const std::unique_ptr<model::TextTower> text = model::open_cube3d_text(files_);
  text->to(test::device());
  const model::Cube3dModel both = model::open_cube3d(files_, test::device()),
                           alone = model::open_cube3d(files_, test::device(), at::kBFloat16);
  std::int64_t bytes = 0, elements = 0;
  for (const nn::Parameter& parameter : alone.gpt->transformer().parameters().all()) {
    EXPECT_EQ(parameter.master.scalar_type(), parameter.value.scalar_type());
    bytes += static_cast<std::int64_t>(parameter.value.nbytes());
    elements += parameter.value.numel();
  }
  EXPECT_LT(bytes, 4 * elements * 3 / 4);
  EXPECT_EQ(
      model::device_decoding_memory(alone.gpt->transformer(), model::parse_decode_precision("bf16"), 1, 1)
          .weights,
      bytes);
  for (const model::Cube3dModel* model : {&both, &alone}) {
    model->gpt->transformer().set_activation_type(at::kBFloat16);
    model->shape->compute_in(at::kBFloat16);
  }
  const std::vector<GeneratedSample> expected = samples(*text, both, "bf16"),
                                     found = samples(*text, alone, "bf16");
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    EXPECT_EQ(found[i].shapes.at(0).codes.geometry, expected[i].shapes.at(0).codes.geometry) << i;
    EXPECT_EQ(found[i].log_probability, expected[i].log_probability) << i;
  }
}

TEST_F(TextToShapeGpu, TheShapeTokenizerGivesTheProcessorsCodes) {
  const std::unique_ptr<tokenizers::ShapeTokenizer> tokenizer = model::open_shape_tokenizer(files_);
  tokenizers::ShapeSample sample;
  const int points = tokenizer->required_input().surface_points;
  for (int i = 0; i < points; ++i) {
    const float turn = 0.001f * static_cast<float>(i);
    const geometry::Vec3 direction{std::cos(turn), std::sin(turn), 0};
    sample.surface.positions.push_back(
        {0.8f * direction.x, 0.8f * direction.y, 0.0002f * static_cast<float>(i)});
    sample.surface.normals.push_back(direction);
  }
  const auto expected = tokenizer->encode({&sample, 1});
  const at::Tensor codebook = tokenizer->geometry_codebook();
  tokenizer->to(test::device());
  EXPECT_EQ(tokenizer->encode({&sample, 1}).at(0).geometry, expected.at(0).geometry);
  ASSERT_TRUE(tokenizer->geometry_codebook().is_cpu());
  EXPECT_LT(test::relative_error(tokenizer->geometry_codebook(), codebook), 1e-6);
}

// Of a size that the plug-in's kernels take; weights that leave every code a chance.
class Cube3dProgramGpu : public testing::Test {
 protected:
  void SetUp() override {
    if (!test::device_refusal().empty()) GTEST_SKIP() << test::device_refusal();
    config_.dual_layers = 2;
    config_.heads = 2;
    config_.width = 128;
    config_.shape_codes = 64;
    config_.text_width = 32;
    config_.code_dimension = 16;
    at::manual_seed(1);
    std::vector<std::pair<std::string, at::Tensor>> weights;
    const model::PublicLayout layout = model::public_layout(config_);
    for (const model::PublicTensor& tensor : layout.tensors())
      weights.emplace_back(
          tensor.name, 0.1 * at::randn(tensor.shape) + (tensor.name.ends_with("_norm.weight") ? 1.0 : 0.0));
    nn::write_tensors(folder_ / "gpt.safetensors", weights);
    host_ = std::make_unique<model::Cube3dGpt>(config_, WeightSource(folder_ / "gpt.safetensors"));
    own_ = std::make_unique<model::Cube3dGpt>(config_, WeightSource(folder_ / "gpt.safetensors"),
                                              test::device());
    const at::Tensor codebook = at::randn({config_.shape_codes, config_.code_dimension});
    for (model::Cube3dGpt* gpt : {host_.get(), own_.get()}) gpt->set_codebook(codebook);
    text_ = at::randn({2, 5, config_.text_width});
    box_ = at::tensor({0.9f, 1.925f, 1.4f, 1.925f, 1.0f, 0.2f}).view({2, 3});
  }
  at::Tensor no_text(const model::Cube3dGpt& gpt) const {
    return gpt.condition(at::zeros({1, 5, config_.text_width}), at::zeros({1, 3}));
  }
  std::vector<std::vector<std::int32_t>> codes(const model::Cube3dGpt& gpt, const Cube3dSampling& sampling,
                                               const ProgramOptions& options) const {
    return sample_cube3d(gpt, gpt.condition(text_, box_), no_text(gpt), sampling, options);
  }

  const test::TemporaryDirectory folder_;
  model::Cube3dGptConfig config_;
  std::unique_ptr<model::Cube3dGpt> host_, own_;
  at::Tensor text_, box_;
};

TEST_F(Cube3dProgramGpu, ConditionsAndLogitsAreTheProcessors) {
  const at::Tensor codes = at::randint(0, config_.shape_codes, {2, 12}, at::kLong);
  const at::Tensor condition = host_->condition(text_, box_), on_device = own_->condition(text_, box_);
  ASSERT_TRUE(on_device.is_cpu());
  EXPECT_LT(test::relative_error(on_device, condition), 1e-5);
  const at::Tensor expected = host_->logits(condition, codes);
  EXPECT_LT(test::relative_error(own_->logits(condition, codes), expected), 1e-5);
  own_->transformer().set_activation_type(at::kBFloat16);
  EXPECT_LT(test::relative_error(own_->logits(condition, codes), expected), 0.03);
}

TEST_F(Cube3dProgramGpu, InFp32TheSameSeedDrawsTheProcessorsCodes) {
  for (const double temperature : {0.0, 1.0}) {
    const Cube3dSampling sampling{.codes = 24, .sampling = {.temperature = temperature}, .seed = 5};
    EXPECT_EQ(codes(*own_, sampling, {}), codes(*host_, sampling, {})) << temperature;
  }
}

// In fp32 with the codes of shapes that were not stopped; in halves, where a code that is shown again may be rounded
// otherwise, with those that were kept.
TEST_F(Cube3dProgramGpu, ShapesThatWereStoppedGoOn) {
  const Cube3dSampling sampling{.codes = 12, .sampling = {.temperature = 1}, .seed = 5};
  const at::Tensor condition = own_->condition(text_, box_), unconditional = no_text(*own_)[0];
  const auto draw = [&](const char* precision, std::vector<DrawnChoices> begun) {
    own_->transformer().set_activation_type(precision == std::string("fp32") ? at::kFloat : at::kBFloat16);
    std::vector<std::unique_ptr<TokenProgram>> programs;
    for (std::int64_t i = 0; i < 2; ++i)
      programs.push_back(std::make_unique<Cube3dProgram>(config_, condition[i], unconditional, sampling,
                                                         static_cast<std::uint64_t>(i)));
    std::vector<DrawnChoices> last;
    run_programs(own_->transformer(), programs,
                 {.precision = model::parse_decode_precision(precision),
                  .on_tokens = {},
                  .begun = std::move(begun),
                  .on_drawn = [&](std::span<const DrawnChoices> drawn, bool) {
                    last.assign(drawn.begin(), drawn.end());
                  }});
    return last;
  };
  for (const char* precision : {"fp32", "bf16"}) {
    const std::vector<DrawnChoices> whole = draw(precision, {});
    std::vector<DrawnChoices> begun = whole;
    for (std::size_t i = 0; i < 2; ++i) begun[i].tokens.resize(i == 0 ? 9 : 4);
    const std::vector<DrawnChoices> resumed = draw(precision, begun);
    for (std::size_t i = 0; i < 2; ++i) {
      if (precision == std::string("fp32")) EXPECT_EQ(resumed[i].tokens, whole[i].tokens) << i;
      ASSERT_EQ(resumed[i].tokens.size(), 12u) << precision;
      EXPECT_TRUE(std::equal(begun[i].tokens.begin(), begun[i].tokens.end(), resumed[i].tokens.begin()))
          << precision;
    }
  }
}

TEST_F(Cube3dProgramGpu, HalfPrecisionDrawsInStretches) {
  own_->transformer().set_activation_type(at::kBFloat16);
  for (const auto& [precision, guidance] : {std::pair("bf16", 3.0), {"int8", 0.0}}) {
    std::int64_t most = 0, all = 0;
    const auto count = [&](std::int64_t tokens) {
      most = std::max(most, tokens);
      all += tokens;
    };
    const Cube3dSampling sampling{
        .codes = 12, .guidance = guidance, .sampling = {.temperature = 1}, .seed = 5};
    const auto drawn =
        codes(*own_, sampling, {.precision = model::parse_decode_precision(precision), .on_tokens = count});
    EXPECT_EQ(all, 2 * sampling.codes) << precision;
    if (!test::rehearsing()) EXPECT_GE(most, 2 * 8) << precision;
    for (const auto& shape : drawn)
      EXPECT_TRUE(std::all_of(shape.begin(), shape.end(), [&](std::int32_t code) {
        return code >= 0 && code < config_.shape_codes;
      })) << precision;
  }
}

}  // namespace
}  // namespace omni::generation
