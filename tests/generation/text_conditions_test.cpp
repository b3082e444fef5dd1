// Texts that a bundle is shown as the features of a frozen tower.
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "document_rows.h"
#include "generation_fixtures.h"
#include "omni/generation/make_samples.h"
#include "omni/model/public_model.h"
#include "omni/sequence/packed_sequence.h"
#include "request_segments.h"
#include "temporary_directory.h"

namespace omni::generation {
namespace {

using sequence::Document;

class TextConditions : public ::testing::Test {
 protected:
  void SetUp() override {
    model::import_clip(
        {.weights = std::filesystem::path(OMNI_TEST_FIXTURES) / "public/clip/model.safetensors",
         .config = {},
         .tokenizer = {}},
        /*text_alone=*/true, folder_ / "clip");
    clip_ = model::load_clip(folder_ / "clip");
    model::TransformerConfig config = testing::tiny_transformer_config();
    config.features = {model::text_input_of_width(32)};
    bundle_ = model::make_bundle(
        config,
        {std::make_unique<tokenizers::TextTokenizer>(
             tokenizers::TextTokenizer::load(folder_ / "clip/tokenizer.json")),
         std::make_unique<tokenizers::ImageTokenizer>(testing::tiny_image_config(), 5),
         std::make_unique<tokenizers::GridShapeTokenizer>(testing::tiny_shape_config(), 5)},
        kCapacity, /*views=*/true, 5);
    // Features are as large as embedded tokens, so that they matter.
    const c10::NoGradGuard no_grad;
    bundle_.transformer->parameters().find("feature_projection.text.weight")->value.mul_(10);
    bundle_.text_tower = model::BundleTextTower::load(folder_ / "clip");
  }

  // CLIP's hidden states of the tokens and of the end, as the publication shows them: start, text, end, and ends to the 77th.
  std::vector<float> features(const std::vector<std::int32_t>& tokens) const {
    constexpr std::int64_t kRows = 77, kStart = 632, kEnd = 633;
    at::Tensor ids = at::full({1, kRows}, kEnd, at::kLong);
    ids[0][0] = kStart;
    for (std::size_t i = 0; i < tokens.size(); ++i) ids[0][static_cast<std::int64_t>(i) + 1] = tokens[i];
    const at::Tensor hidden = clip_.network->text(ids).hidden[0].contiguous();
    const float* first = hidden.const_data_ptr<float>() + hidden.size(1);
    return {first, first + (static_cast<std::int64_t>(tokens.size()) + 1) * hidden.size(1)};
  }

  sequence::PackedSequence packed(const Document& document) const {
    const sequence::ConditionFeatures shown{0, [this](const auto& tokens) { return features(tokens); }};
    sequence::PackedSequence sequence;
    sequence::append_document(sequence, document, bundle_.vocabulary(), bundle_.layout(),
                              std::numeric_limits<std::int64_t>::max(), &shown);
    return sequence;
  }

  static GenerationRequest request(const std::string& task, const std::vector<std::string>& prompts) {
    GenerationRequest request;
    request.task = sequence::built_in_task(task);
    request.prompts = prompts;
    request.allow_missing = true;
    request.seed = 3;
    return request;
  }

  struct Choice {
    std::size_t position;  // of the token before
    sequence::AllowedTokens allowed;
    std::vector<float> logits;
  };
  // Those of a row that follows the document, by the cache.
  std::vector<Choice> cached(const std::vector<SegmentRequest>& segments, std::int64_t kept,
                             const Document& document) const {
    const std::vector<std::int32_t> tokens =
        sequence::document_tokens(document, bundle_.vocabulary(), bundle_.layout());
    DocumentRow row(bundle_.vocabulary(), bundle_.layout(), segments, kept);
    model::DecodeSession session(*bundle_.transformer, 1, 256);
    std::vector<Choice> choices;
    while (row.advance_to_choice()) {
      if (choices.empty())
        session.prefill(std::vector<model::DecodePrompt>{{.tokens = row.take_unseen()}});
      else
        session.append(std::vector<std::vector<model::DecodeToken>>{row.take_unseen()});
      const std::vector<std::int64_t> first = {0};
      choices.push_back({row.tokens().size() - 1, row.choices(),
                         session.logits(first, std::vector<sequence::AllowedTokens>{row.choices()}).front()});
      row.choose(tokens.at(row.tokens().size()));
    }
    return choices;
  }

  static constexpr std::int64_t kCapacity = 20;
  test::TemporaryDirectory folder_;
  model::ClipWithTokenizer clip_;
  model::Bundle bundle_;
};

Document some_document(const std::vector<std::int32_t>& caption, std::int64_t codes, std::int64_t colours) {
  sequence::ShapePayload shape{.size = 4, .box = {3, 31, 7}};
  for (std::int64_t i = 0; i < codes; ++i) shape.geometry.push_back(static_cast<std::int32_t>(5 * i % 16));
  for (std::int64_t i = 0; i < colours; ++i) shape.colour.push_back(static_cast<std::int32_t>(3 * i % 8));
  return {{{.payload = sequence::TextPayload{caption}}, {.payload = shape, .carries_loss = true}}};
}

TEST_F(TextConditions, TheCacheGivesTheLogitsOfTheWholeSequence) {
  const GenerationRequest asked = request("text->shape", {"A red chair"});
  const std::vector<DocumentRequest> encoded = encode_requests({&asked, 1}, bundle_);
  const auto& caption = std::get<sequence::TextPayload>(encoded[0].segments[0].given->payload).tokens;
  ASSERT_EQ(caption, clip_.tokenizer->encode("a red chair"));
  Document document =
      some_document(caption, bundle_.layout().geometry_capacity(), bundle_.layout().colour_codes);
  for (const bool dropped : {false, true}) {
    document.segments[0].dropped = dropped;
    const at::Tensor whole = bundle_.transformer->logits(packed(document));
    const std::vector<Choice> choices = cached(encoded[0].segments, dropped ? 0 : 1, document);
    EXPECT_EQ(choices.size(), 15u);  // size, box, eight codes and three colours
    for (const Choice& choice : choices)
      for (std::int32_t i = 0; i < choice.allowed.count(); ++i)
        ASSERT_NEAR(choice.logits[static_cast<std::size_t>(i)],
                    whole[static_cast<std::int64_t>(choice.position)][choice.allowed.token(i)].item<float>(),
                    1e-4)
            << choice.position << ' ' << i << (dropped ? ", dropped" : "");
  }
}

TEST_F(TextConditions, ADroppedOneIsTheUnconditionalRow) {
  const GenerationRequest asked = request("text->shape", {"a red chair"}),
                          without = request("text->shape", {});
  const auto segments = encode_requests({&asked, 1}, bundle_)[0].segments,
             none = encode_requests({&without, 1}, bundle_)[0].segments;
  Document document = some_document(std::get<sequence::TextPayload>(segments[0].given->payload).tokens,
                                    bundle_.layout().geometry_capacity(), bundle_.layout().colour_codes);
  DocumentRow shown(bundle_.vocabulary(), bundle_.layout(), segments, 1),
      dropped(bundle_.vocabulary(), bundle_.layout(), segments, 0);
  shown.advance_to_choice();
  dropped.advance_to_choice();
  // What comes after it stands where it would.
  EXPECT_EQ(shown.take_unseen().back().place.offset, dropped.take_unseen().back().place.offset);
  const std::vector<Choice> c = cached(segments, 1, document);
  document.segments[0].dropped = true;
  EXPECT_TRUE(packed(document).features.empty());
  const std::vector<Choice> a = cached(segments, 0, document), b = cached(none, 0, document);
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_EQ(a[i].logits, b[i].logits) << i;
  EXPECT_NE(a[0].logits, c[0].logits);
}

std::vector<Document> samples(const model::Bundle& bundle, std::span<const GenerationRequest> requests,
                              const SampleOptions& options = {}) {
  std::vector<Document> documents;
  make_samples(bundle, requests, options,
               [&](const GeneratedSample& sample) { documents.push_back(sample.document); });
  return documents;
}

TEST_F(TextConditions, SamplesFollowTheFeaturesAndTheGuidance) {
  std::vector<GenerationRequest> requests = {request("text->shape", {"a red chair"}),
                                             request("text->shape", {"two small cups"}),
                                             request("text->shape", {"a red chair"}),
                                             request("text->shape", {"a red chair"}),
                                             request("text->shape", {}),
                                             request("text->image", {"a red chair"})};
  requests[2].guidance.everywhere = 3;
  requests[3].guidance.everywhere = 0;  // the row without the text alone
  // What is drawn at random depends on how many tokens stand before.
  for (const std::size_t i : {3, 4}) requests[i].sampling.temperature = 0;
  const std::vector<Document> together = samples(bundle_, requests);
  ASSERT_EQ(together.size(), requests.size());
  const auto made = [&](std::size_t i) { return together[i].segments[1].payload; };
  EXPECT_NE(made(0), made(1));
  EXPECT_NE(made(0), made(2));
  EXPECT_NE(made(0), made(3));
  EXPECT_EQ(made(3), made(4));
  // And do not depend on their company.
  for (std::size_t i = 0; i < requests.size(); ++i)
    EXPECT_EQ(samples(bundle_, {&requests[i], 1}).front(), together[i]) << i;
  // With another projection they are other ones, but for those without a text.
  const model::Bundle& bundle = bundle_;
  const c10::NoGradGuard no_grad;
  at::Tensor weight = bundle.transformer->parameters().find("feature_projection.text.weight")->value;
  weight.neg_();
  EXPECT_NE(samples(bundle_, {&requests[0], 1}).front().segments[1].payload, made(0));
  EXPECT_EQ(samples(bundle_, {&requests[4], 1}).front().segments[1].payload, made(4));
}

TEST_F(TextConditions, TextsThatAreMadeAreTokens) {
  GenerationRequest asked = request("shape->text", {});
  tokenizers::ShapeCodes codes;
  codes.geometry.assign(static_cast<std::size_t>(bundle_.layout().geometry_capacity()), 3);
  codes.colour.assign(static_cast<std::size_t>(bundle_.layout().colour_codes), 1);
  asked.shapes = {{.shape = codes, .longest_side_m = {}, .extent = {}}};
  const Document made = samples(bundle_, {&asked, 1}).front();
  Document document = made;
  document.segments[1].carries_loss = true;
  EXPECT_TRUE(packed(document).features.empty());
}

}  // namespace
}  // namespace omni::generation
