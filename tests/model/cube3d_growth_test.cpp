#include "omni/model/cube3d_growth.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "omni/core/error.h"
#include "omni/core/safetensors.h"
#include "omni/model/cube3d_training.h"
#include "omni/model/decode_session.h"
#include "small_cube3d.h"
#include "temporary_directory.h"

namespace omni::model {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kCodes = 8, kGptCodes = 32, kTextRows = 3;

class Cube3dGrowthTest : public testing::Test {
 protected:
  Cube3dFiles files() const {
    return {.weights = small_.gpt,
            .config = config_,
            .text = {.weights = small_.clip, .config = {}, .tokenizer = {}},
            .shape_tokenizer = small_.shape_tokenizer};
  }
  static std::unique_ptr<tokenizers::ImageTokenizer> image() {
    return tokenizers::ImageTokenizer::import_llamagen(
        fs::path(OMNI_TEST_FIXTURES) / "tiny/llamagen_vq/vq.safetensors", 8);
  }
  static std::int32_t first_code(const Transformer& model) {
    return model.vocabulary().range(sequence::kRangeGeometry).first;
  }
  static std::vector<std::int32_t> codes(std::int32_t number) {
    std::vector<std::int32_t> all;
    for (std::int32_t i = 0; i < kCodes; ++i) all.push_back((7 * i + 5 * number) % kGptCodes);
    return all;
  }
  // <bos> and the codes of each shape, at the places that the publication gives them.
  static sequence::PackedSequence shapes_alone(const Transformer& model, std::int32_t count) {
    sequence::PackedSequence packed;
    packed.document_starts = {0};
    for (std::int32_t shape = 0; shape < count; ++shape) {
      std::vector<std::int32_t> tokens = codes(shape);
      for (std::int32_t& token : tokens) token += first_code(model);
      tokens.insert(tokens.begin(), sequence::kBos);
      for (std::size_t i = 0; i < tokens.size(); ++i) {
        packed.tokens.push_back(tokens[i]);
        packed.streams.push_back(sequence::Modality::shape);
        packed.segments.push_back(0);
        packed.offsets.push_back(static_cast<std::int32_t>(i));
        for (auto* zeros : {&packed.rows, &packed.columns, &packed.slots}) zeros->push_back(0);
        packed.targets.push_back(-1);
        packed.loss_weights.push_back(0);
        packed.target_modalities.push_back(sequence::Modality::shape);
        packed.allowed.push_back(-1);
      }
      packed.document_starts.push_back(packed.length());
    }
    return packed;
  }
  // Of the tokens that the public model has, in its order.
  static at::Tensor public_columns(const at::Tensor& logits, const Transformer& model) {
    return at::concat({logits.narrow(1, first_code(model), kGptCodes), logits.narrow(1, sequence::kBos, 1),
                       logits.narrow(1, sequence::kEos, 1), logits.narrow(1, sequence::kPad, 1)},
                      1);
  }
  static double difference(const at::Tensor& a, const at::Tensor& b) {
    return (a - b).abs().max().item<double>();
  }
  Cube3dGpt published(const Bundle& bundle) const {
    Cube3dGpt gpt(config_, WeightSource(small_.gpt));
    gpt.set_codebook(bundle.tokenizers.shape()->geometry_codebook());
    return gpt;
  }
  void expect_refused(const Cube3dFiles& given, const std::string& words) const {
    try {
      grow_cube3d(given, image());
      ADD_FAILURE() << words;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::input);
      EXPECT_THAT(error.what(), testing::HasSubstr(words));
    }
  }

  test::TemporaryDirectory folder_;
  test::SmallCube3d small_{OMNI_TEST_FIXTURES, folder_.path()};
  Cube3dGptConfig config_ = Cube3dGptConfig::load(small_.gpt_config);
};

TEST_F(Cube3dGrowthTest, ShapesAloneHaveTheLogitsOfThePublicModel) {
  const Bundle bundle = grow_cube3d(files(), image());
  const Cube3dGpt gpt = published(bundle);
  const at::Tensor found =
      public_columns(bundle.transformer->logits(shapes_alone(*bundle.transformer, 3)), *bundle.transformer);
  const at::Tensor nothing = at::empty({1, 0, config_.width});
  for (std::int32_t shape = 0; shape < 3; ++shape) {
    const at::Tensor wanted =
        gpt.logits(nothing, at::tensor(codes(shape)).to(at::kLong).view({1, kCodes}))[0];
    // Which order sums of three shapes and of one take is the processor's: AVX2 differs by 2e-6.
    EXPECT_LT(difference(found.narrow(0, shape * (kCodes + 1), kCodes + 1), wanted), 1e-5) << shape;
    EXPECT_GT(wanted.std().item<double>(), 0.01);
  }
}

TEST_F(Cube3dGrowthTest, TextsAndBoxesConditionAsTheyDidInThePublicModel) {
  const Bundle bundle = grow_cube3d(files(), image());
  const auto features = [&](const std::vector<std::int32_t>& tokens) {
    std::vector<float> values;
    for (std::int64_t i = 0; i < kTextRows * config_.text_width; ++i)
      values.push_back(std::sin(static_cast<float>(i + 3 * tokens.front())));
    return values;
  };
  const Cube3dDocuments documents(config_, kTextRows, kCodes, features);
  sequence::ShapePayload shape{.geometry = codes(2)};
  shape.box = {31, 15, 7};
  sequence::PackedSequence packed;
  documents.append(packed,
                   {{{.payload = sequence::TextPayload{{4}}}, {.payload = shape, .carries_loss = true}}});
  for (std::int32_t& token : packed.tokens)
    if (token >= sequence::kSpecialCount) token += first_code(*bundle.transformer) - sequence::kSpecialCount;
  const at::Tensor found =
      public_columns(bundle.transformer->logits(packed).narrow(0, packed.length() - kCodes - 1, kCodes + 1),
                     *bundle.transformer);
  const Cube3dGpt gpt = published(bundle);
  const float longest = 1.925f;
  const at::Tensor condition =
      gpt.condition(at::tensor(features({4})).view({1, kTextRows, config_.text_width}),
                    at::tensor({longest, longest * 15 / 31, longest * 7 / 31}).view({1, 3}));
  const at::Tensor wanted = gpt.logits(condition, at::tensor(codes(2)).to(at::kLong).view({1, kCodes}))[0];
  EXPECT_LT(difference(found, wanted), 1e-5);
}

TEST_F(Cube3dGrowthTest, NewTokensStartAsThoseOfAFreshModel) {
  const Bundle bundle = grow_cube3d(files(), image(), {.text_capacity = 9, .seed = 4});
  const sequence::Vocabulary& vocabulary = bundle.vocabulary();
  const auto text = bundle.tokenizers.format().text.vocabulary, pictures = 64;
  EXPECT_TRUE(
      sequence::make_vocabulary({.text = text, .image = pictures, .geometry = kGptCodes}).fingerprint() ==
      vocabulary.fingerprint());
  EXPECT_EQ(bundle.layout().text_capacity, 9);
  EXPECT_EQ(bundle.layout().image_codes(), 16);
  EXPECT_EQ(bundle.layout().geometry_lengths, std::vector<std::int64_t>{kCodes});
  const nn::ParameterStore& parameters = bundle.transformer->parameters();
  const double deviation = bundle.transformer->config().initial_deviation;
  for (const char* name : {"embedding.weight", "head.weight"}) {
    const at::Tensor table = parameters.find(name)->value;
    const sequence::TokenRange range = vocabulary.range(sequence::kRangeText);
    EXPECT_NEAR(table.narrow(0, range.first, range.size).std().item<double>(), deviation, 0.1 * deviation)
        << name;
  }
  // Pictures are their codebook's projection, which looks like drawn rows.
  const at::Tensor codebook = parameters.find("codebook.image")->value;
  EXPECT_TRUE(codebook.equal(bundle.tokenizers.image()->codebook()));
  const at::Tensor rows = at::mm(codebook, parameters.find("codebook_projection.image")->value.t());
  EXPECT_NEAR(rows.std().item<double>(), deviation, 0.3 * deviation);
  // The seed chooses new rows, and nothing that the public model has.
  const Bundle other = grow_cube3d(files(), image(), {.text_capacity = 9, .seed = 5});
  std::vector<std::string> differing;
  for (const nn::Parameter& parameter : parameters.all())
    if (!parameter.value.equal(other.transformer->parameters().find(parameter.name)->value))
      differing.push_back(parameter.name);
  EXPECT_THAT(differing,
              testing::UnorderedElementsAre("embedding.weight", "head.weight", "codebook_projection.image"));
}

TEST_F(Cube3dGrowthTest, ComesBackFromItsFolderReadAndMapped) {
  const Bundle bundle = grow_cube3d(files(), image());
  save_bundle(bundle, folder_ / "grown");
  const sequence::PackedSequence packed = shapes_alone(*bundle.transformer, 1);
  const Bundle read = load_bundle(folder_ / "grown");
  EXPECT_TRUE(read.transformer->logits(packed).equal(bundle.transformer->logits(packed)));
  EXPECT_EQ(read.notes.at("stage"), "init");

  const auto last_logits = [&](const Bundle& one) {
    DecodeSession session(*one.transformer, 1, kCodes + 1);
    std::vector<DecodeToken> tokens;
    for (std::size_t i = 0; i < packed.tokens.size(); ++i) {
      sequence::TokenPlace place;
      place.modality = sequence::Modality::shape;
      place.offset = packed.offsets[i];
      tokens.push_back({packed.tokens[i], place, {}});
    }
    session.append(std::vector<std::vector<DecodeToken>>{tokens});
    sequence::AllowedTokens allowed;
    allowed.add(first_code(*one.transformer), kGptCodes);
    const std::vector<float> values =
        session.logits(std::vector<std::int64_t>{0}, std::vector<sequence::AllowedTokens>{allowed})[0];
    return at::tensor(values);
  };
  const Bundle mapped = load_bundle_for_decoding(folder_ / "grown", kernels::DecodeFormat::fp32, 1);
  const at::Tensor wanted =
      bundle.transformer->logits(packed)[kCodes].narrow(0, first_code(*bundle.transformer), kGptCodes);
  EXPECT_LT(difference(last_logits(read), wanted), 1e-5);
  EXPECT_LT(difference(last_logits(mapped), wanted), 1e-5);
}

TEST_F(Cube3dGrowthTest, WhatDoesNotFitIsRefusedByName) {
  Cube3dFiles none = files();
  none.shape_tokenizer.clear();
  expect_refused(none, "has no shape tokenizer");
  Cube3dFiles other_sizes = files();
  other_sizes.config.width = 64;
  expect_refused(other_sizes, "the configuration expects");

  // A tokenizer with half the codes.
  const SafetensorsFile tokenizer(small_.shape_tokenizer);
  std::vector<NamedTensorView> tensors;
  std::vector<float> half;
  for (const auto& [name, view] : tokenizer.tensors()) {
    if (name == "bottleneck.block.codebook.weight") {
      half = view.to_vector<float>();
      half.resize(half.size() / 2);
      tensors.push_back({name, tensor_view(half, {16, 8})});
    } else {
      tensors.push_back({name, view});
    }
  }
  write_safetensors(folder_ / "half.safetensors", tensors);
  Cube3dFiles halved = files();
  halved.shape_tokenizer = folder_ / "half.safetensors";
  expect_refused(halved, "its codebook is [16, 8], the GPT expects [32, 8]");

  // A CLIP whose tokenizer was left behind.
  fs::create_directory(folder_ / "clip");
  for (const char* name : {"model.safetensors", "config.json"})
    fs::copy_file(small_.clip.parent_path() / name, folder_ / "clip" / name);
  Cube3dFiles wordless = files();
  wordless.text.weights = folder_ / "clip" / "model.safetensors";
  expect_refused(wordless, "no tokenizer.json");
}

}  // namespace
}  // namespace omni::model
