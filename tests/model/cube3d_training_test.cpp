#include "omni/model/cube3d_training.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/grad_mode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "omni/core/error.h"
#include "omni/model/decode_session.h"
#include "omni/model/public_model.h"
#include "small_cube3d.h"
#include "temporary_directory.h"
#include "transformer_network.h"

namespace omni::model {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kTextRows = 3, kCodes = 8;

class Cube3dTraining : public testing::Test {
 protected:
  // Of every caption other ones.
  static std::vector<float> features(const std::vector<std::int32_t>& tokens) {
    std::vector<float> values(kTextRows * 32);
    for (std::size_t i = 0; i < values.size(); ++i)
      values[i] = std::sin(static_cast<float>(i) + 0.7f * static_cast<float>(tokens.empty() ? 0 : tokens[0]));
    return values;
  }
  static at::Tensor as_tensor(const std::vector<float>& values, at::IntArrayRef shape) {
    return at::tensor(values).view(shape);
  }
  static sequence::Document document(std::int32_t caption, bool dropped, bool box) {
    sequence::ShapePayload shape;
    for (std::int64_t i = 0; i < kCodes; ++i)
      shape.geometry.push_back(static_cast<std::int32_t>((7 * i + caption) % 32));
    if (box) shape.box = {31, 15, caption % 32};
    return {{{.payload = sequence::TextPayload{{caption}}, .dropped = dropped},
             {.payload = shape, .carries_loss = true}}};
  }

  std::unique_ptr<Transformer> trainable() const {
    return trainable_cube3d(config_, WeightSource(small_.gpt), codebook_);
  }
  Cube3dGpt gpt(const fs::path& weights) const {
    Cube3dGpt made(config_, WeightSource(weights));
    made.set_codebook(codebook_);
    return made;
  }
  // The logits of the codes' rows [codes + 1, codes + 3] of one document, as the publication orders them.
  static at::Tensor rows_of(const Transformer& model, const sequence::PackedSequence& packed,
                            std::size_t document) {
    const std::int64_t end = packed.document_starts[document + 1];
    const at::Tensor own = model.logits(packed).narrow(0, end - kCodes - 1, kCodes + 1);
    return at::concat({own.narrow(1, sequence::kSpecialCount, 32), own.narrow(1, sequence::kBos, 1),
                       own.narrow(1, sequence::kEos, 1), own.narrow(1, sequence::kPad, 1)},
                      1);
  }
  static double difference(const at::Tensor& a, const at::Tensor& b) {
    return (a - b).abs().max().item<double>();
  }
  // As if it had been trained: whatever an optimiser may move.
  static void disturb(Transformer& model) {
    const c10::NoGradGuard guard;
    auto generator = at::make_generator<at::CPUGeneratorImpl>(3);
    for (const nn::Parameter& parameter : model.parameters().all()) {
      if (!parameter.trainable) continue;
      at::Tensor noise = at::empty(parameter.value.sizes()).normal_(0, 0.05, generator);
      if (parameter.frozen_rows.count > 0)
        noise.narrow(0, parameter.frozen_rows.first, parameter.frozen_rows.count).zero_();
      at::Tensor(parameter.value).add_(noise);
    }
  }

  test::TemporaryDirectory folder_;
  test::SmallCube3d small_{OMNI_TEST_FIXTURES, folder_.path()};
  Cube3dGptConfig config_ = Cube3dGptConfig::load(small_.gpt_config);
  at::Tensor codebook_ = at::randn({32, 8}, at::make_generator<at::CPUGeneratorImpl>(5));
  Cube3dDocuments documents_{config_, kTextRows, kCodes, features};
};

// The publication's arithmetic, spelt out by Cube3dGpt.
TEST_F(Cube3dTraining, DocumentsHaveTheLogitsOfThePublishedModel) {
  const auto model = trainable();
  const Cube3dGpt published = gpt(small_.gpt);
  sequence::PackedSequence packed;
  const std::vector<sequence::Document> all = {document(1, false, true), document(2, true, true),
                                               document(3, false, false)};
  for (const sequence::Document& one : all) documents_.append(packed, one);
  EXPECT_EQ(packed.length(), 3 * documents_.length());
  const std::vector<std::vector<std::int32_t>> captions = {{1}, {}, {3}};
  const double half = 1.925 * 15 / 31;
  const at::Tensor boxes =
      at::tensor({1.925, half, 1.925 * 1 / 31, 1.925, half, 1.925 * 2 / 31, 0.0, 0.0, 0.0}, at::kFloat)
          .view({3, 3});
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto row = static_cast<std::int64_t>(i);
    const at::Tensor condition =
        published.condition(as_tensor(features(captions[i]), {1, kTextRows, 32}), boxes.narrow(0, row, 1));
    const auto& codes = std::get<sequence::ShapePayload>(all[i].segments[1].payload).geometry;
    const at::Tensor wanted =
        published.logits(condition, at::tensor(codes).to(at::kLong).view({1, kCodes}))[0];
    EXPECT_LT(difference(rows_of(*model, packed, i), wanted), 1e-4) << i;
  }
}

TEST_F(Cube3dTraining, EachCodeIsATargetAmongAllCodes) {
  sequence::PackedSequence packed;
  documents_.append(packed, document(1, false, true));
  documents_.append(packed, document(2, false, true));
  const auto model = trainable();
  const PreparedBatch batch = model->prepare(packed);
  EXPECT_EQ(batch.counts().targets[static_cast<std::size_t>(sequence::Modality::shape)], 2 * kCodes);
  const at::Tensor losses = model->loss(batch).position_cross_entropy, logits = model->logits(packed);
  std::int64_t compared = 0;
  for (std::int64_t i = 0; i < packed.length(); ++i) {
    if (packed.loss_weights[i] == 0) {
      EXPECT_EQ(losses[i].item<float>(), 0) << i;
      continue;
    }
    const at::Tensor own = at::log_softmax(logits[i].narrow(0, sequence::kSpecialCount, 32), 0);
    EXPECT_NEAR(losses[i].item<float>(), -own[packed.targets[i] - sequence::kSpecialCount].item<float>(),
                1e-4);
    EXPECT_EQ(packed.targets[i], packed.tokens[i + 1]);
    ++compared;
  }
  EXPECT_EQ(compared, 2 * kCodes);
}

// Of the projections of texts, boxes and codes, the last of which holds the bias.
TEST_F(Cube3dTraining, ProjectionsHaveTheSlopesOfTheLoss) {
  const auto model = trainable();
  sequence::PackedSequence packed;
  documents_.append(packed, document(1, false, true));
  documents_.append(packed, document(2, true, true));
  const auto loss = [&] { return model->loss(model->prepare(packed)).objective.sum(); };
  loss().backward();
  for (const char* name : {"feature_projection.text.weight", "feature_projection.text.bias",
                           "feature_projection.box.weight", "codebook_projection.geometry"}) {
    const nn::Parameter& parameter = *model->parameters().find(name);
    const c10::NoGradGuard guard;
    at::Tensor flat = parameter.value.detach().view({-1});
    const at::Tensor slopes = parameter.value.grad().reshape({-1});
    for (const std::int64_t i : {std::int64_t{0}, flat.numel() / 2, flat.numel() - 1}) {
      constexpr float kStep = 2e-2f;
      const float value = flat[i].item<float>();
      const auto at_value = [&](float changed) {
        flat[i] = changed;
        return loss().item<double>();
      };
      const double slope = (at_value(value + kStep) - at_value(value - kStep)) / (2 * kStep);
      flat[i] = value;
      EXPECT_NEAR(slopes[i].item<double>(), slope, 0.02 * std::abs(slope) + 2e-3) << name << ' ' << i;
    }
  }
}

TEST_F(Cube3dTraining, LeavesTokenRowsAndAbsentBiases) {
  const auto model = trainable();
  EXPECT_FALSE(model->parameters().find("embedding.weight")->trainable);
  EXPECT_FALSE(model->parameters().find("codebook.geometry")->trainable);
  EXPECT_TRUE(model->parameters().find("codebook_projection.geometry")->trainable);
  sequence::PackedSequence packed;
  documents_.append(packed, document(1, false, true));
  model->loss(model->prepare(packed)).objective.sum().backward();
  model->parameters().zero_frozen_gradients();
  for (const char* name :
       {"dual_blocks.0.text.qkv.bias", "dual_blocks.1.generated.qkv.bias", "single_blocks.0.qkv.bias"}) {
    const nn::Parameter& parameter = *model->parameters().find(name);
    EXPECT_EQ(parameter.frozen_rows.count, 64) << name;
    EXPECT_EQ(parameter.value.narrow(0, 0, 64).abs().max().item<float>(), 0) << name;
    EXPECT_EQ(parameter.value.grad().narrow(0, 0, 64).abs().max().item<float>(), 0) << name;
    EXPECT_GT(parameter.value.grad().narrow(0, 64, 32).abs().max().item<float>(), 0) << name;
  }
  // Where there are keys alone, the layout has their bias.
  EXPECT_EQ(model->parameters().find("dual_blocks.1.text.qkv.bias")->frozen_rows.count, 0);
}

TEST_F(Cube3dTraining, ExportsWhatTheReferenceReads) {
  // Types of its own, tensor by tensor.
  const WeightSource given(small_.gpt);
  std::vector<at::Tensor> held;
  std::vector<NamedTensorView> views;
  for (const auto& [name, view] : given.tensors()) {
    held.push_back(nn::to_tensor(view));
    if (name.find("gate_proj.weight") != std::string::npos) held.back() = held.back().to(at::kBFloat16);
    if (name.find("lm_head") != std::string::npos) held.back() = held.back().to(at::kHalf);
    views.push_back({name, nn::view_of(held.back())});
  }
  write_safetensors(folder_ / "mixed.safetensors", views);
  const WeightSource original(folder_ / "mixed.safetensors");
  const auto model = trainable_cube3d(config_, original, codebook_);
  disturb(*model);
  const fs::path file = folder_ / "trained.safetensors";
  export_cube3d(config_, *model, original, file);

  const WeightSource trained(file);
  ASSERT_EQ(trained.tensors().size(), original.tensors().size());
  for (const auto& [name, view] : original.tensors()) {
    EXPECT_EQ(trained.at(name).dtype, view.dtype) << name;
    EXPECT_EQ(trained.at(name).shape, view.shape) << name;
  }
  sequence::PackedSequence packed;
  const sequence::Document own = document(4, false, true);
  documents_.append(packed, own);
  const auto& codes = std::get<sequence::ShapePayload>(own.segments[1].payload).geometry;
  const at::Tensor ids = at::tensor(codes).to(at::kLong).view({1, kCodes});
  const at::Tensor text = as_tensor(features({4}), {1, kTextRows, 32}),
                   box = as_tensor({1.925f, 1.925f * 15 / 31, 1.925f * 4 / 31}, {1, 3});
  Cube3dGpt as_stored(config_, trained);
  const at::Tensor stored = as_stored.logits(as_stored.condition(text, box), ids);
  as_stored.set_codebook(codebook_);  // as the reference does when it loads
  EXPECT_TRUE(as_stored.logits(as_stored.condition(text, box), ids).equal(stored));
  // Types of 8 and 11 bits round.
  EXPECT_LT(difference(rows_of(*model, packed, 0), stored[0]), 0.03 * stored.abs().max().item<double>());

  // In fp32 nothing is lost, so nothing was trained that the layout has no place for.
  const auto whole = trainable();
  disturb(*whole);
  export_cube3d(config_, *whole, given, file);
  const Cube3dGpt read = gpt(file);
  EXPECT_LT(difference(rows_of(*whole, packed, 0), read.logits(read.condition(text, box), ids)[0]), 1e-4);
}

// In a step of decoding a condition comes as rows, projected beforehand.
TEST_F(Cube3dTraining, FeaturesSampleAsTheyTrain) {
  const auto model = trainable();
  const sequence::Document own = document(6, false, true);
  sequence::PackedSequence packed;
  documents_.append(packed, own);
  const auto parameter = [&](const char* name) { return model->parameters().find(name)->value.detach(); };
  DecodePrompt prompt;
  prompt.features = at::concat(
      {at::linear(as_tensor(features({6}), {kTextRows, 32}), parameter("feature_projection.text.weight"),
                  parameter("feature_projection.text.bias")),
       at::linear(as_tensor(packed.features[1].values, {1, 3}), parameter("feature_projection.box.weight"),
                  parameter("feature_projection.box.bias"))});
  prompt.feature_places.assign(kTextRows + 1, {.modality = sequence::Modality::text, .offset = 0});
  for (std::int32_t i = 0; i <= kCodes; ++i)
    prompt.tokens.push_back({.token = packed.tokens[static_cast<std::size_t>(kTextRows + 1 + i)],
                             .place = {.modality = sequence::Modality::shape, .offset = i},
                             .next_place = {}});
  DecodeSession session(*model, 1, 32, {});
  session.prefill(std::vector<DecodePrompt>{prompt});
  sequence::AllowedTokens codes;
  codes.add(sequence::kSpecialCount, 32);
  const std::vector<std::int64_t> which = {0};
  const auto scores = session.logits(which, std::vector<sequence::AllowedTokens>{codes});
  const at::Tensor wanted = rows_of(*model, packed, 0)[kCodes];
  for (std::int64_t i = 0; i < 32; ++i) EXPECT_NEAR(scores[0][i], wanted[i].item<double>(), 1e-4) << i;
}

TEST_F(Cube3dTraining, FeaturesOfAnotherInputOrPlaceAreRefused) {
  const auto model = trainable();
  sequence::PackedSequence packed;
  documents_.append(packed, document(1, false, true));
  const auto refused = [&](const sequence::FeatureRows& rows) {
    sequence::PackedSequence changed = packed;
    changed.features.push_back(rows);
    EXPECT_THROW(model->prepare(changed), Error);
  };
  refused({0, 2, {1, 2, 3}});
  refused({0, -1, {1, 2, 3}});
  refused({0, 1, {1, 2, 3, 4}});
  refused({1000, 1, {1, 2, 3}});
}

}  // namespace
}  // namespace omni::model
