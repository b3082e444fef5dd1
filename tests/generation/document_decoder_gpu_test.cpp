// Sampling on a GPU against the processor.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <string_view>
#include <tuple>

#include "../sequence/sequence_fixtures.h"
#include "document_program.h"
#include "generation_fixtures.h"
#include "omni/generation/document_decoder.h"
#include "omni/sequence/task.h"
#include "test_device.h"

namespace omni::generation {
namespace {

std::vector<DocumentRequest> requests_of_every_task(const sequence::Vocabulary& vocabulary,
                                                    const sequence::SequenceLayout& layout) {
  std::vector<DocumentRequest> requests;
  for (const std::string& name : sequence::built_in_task_names()) {
    DocumentRequest request;
    request.seed = requests.size();
    CounterRng rng(request.seed, 17);
    std::size_t conditions = 0;
    for (const sequence::TaskSegment& segment : sequence::built_in_task(name).segments) {
      SegmentRequest entry{.modality = segment.modality, .given = {}, .fixed_tokens = {}};
      if (!segment.loss) {
        entry.given = sequence::testing::random_segment(segment.modality, vocabulary, layout, rng);
        ++conditions;
      }
      request.segments.push_back(std::move(entry));
    }
    if (requests.size() % 2 == 0) request.guidance.assign(conditions, 2.5);
    requests.push_back(std::move(request));
  }
  return requests;
}

std::vector<sequence::Document> decode(const model::Transformer& model,
                                       std::span<const DocumentRequest> requests,
                                       const DecodeOptions& options = {}) {
  std::vector<sequence::Document> documents;
  decode_documents(model, requests, options, [&](std::span<DecodedDocument> batch) {
    for (DecodedDocument& decoded : batch) documents.push_back(std::move(decoded.document));
  });
  return documents;
}

class DocumentDecoderGpu : public ::testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    if (!test::device_refusal().empty()) GTEST_SKIP() << test::device_refusal();
  }
  static model::TransformerConfig config() {
    model::TransformerConfig config = testing::tiny_transformer_config_without_codebooks();
    config.width = 2 * GetParam();
    return config;
  }

  const sequence::Vocabulary vocabulary_ = sequence::testing::small_vocabulary();
  const sequence::SequenceLayout layout_ = sequence::testing::small_layout();
  model::Transformer model_{config(), vocabulary_, layout_, 3};
};
INSTANTIATE_TEST_SUITE_P(HeadSizes, DocumentDecoderGpu, ::testing::Values(16, 64));

TEST_P(DocumentDecoderGpu, TheSameSeedDrawsTheProcessorsTokens) {
  const std::vector<DocumentRequest> requests = requests_of_every_task(vocabulary_, layout_);
  const std::vector<sequence::Document> expected = decode(model_, requests);
  model_.to(test::device());
  EXPECT_EQ(decode(model_, requests), expected);
  EXPECT_EQ(decode(model_, {&requests[1], 1}).front(), expected[1]) << "one sequence alone";
  // In half precision a token may differ; what is drawn is well-formed all the same.
  model_.set_activation_type(at::kBFloat16);
  for (const char* precision : {"bf16", "int8"})
    for (const sequence::Document& document :
         decode(model_, requests, {.precision = model::parse_decode_precision(precision), .on_tokens = {}}))
      EXPECT_NO_THROW((void)sequence::document_tokens(document, vocabulary_, layout_)) << precision;
}

TEST_P(DocumentDecoderGpu, TextsMayBeFeatures) {
  std::vector<DocumentRequest> requests = requests_of_every_task(vocabulary_, layout_);
  const std::vector<sequence::Document> of_tokens = decode(model_, requests);
  for (DocumentRequest& request : requests)
    for (SegmentRequest& segment : request.segments) {
      if (!segment.given || segment.modality != sequence::Modality::text) continue;
      const auto& tokens = std::get<sequence::TextPayload>(segment.given->payload).tokens;
      const auto rows = static_cast<std::int64_t>(tokens.size()) + 1;
      segment.features = at::arange(rows * config().width, at::kFloat).sin().view({rows, config().width});
    }
  const std::vector<sequence::Document> expected = decode(model_, requests);
  EXPECT_NE(expected, of_tokens);
  model_.to(test::device());
  EXPECT_EQ(decode(model_, requests), expected);
}

// What a program draws step by step: each choice by the host, from logits that it fetches.
struct StepByStep {
  std::vector<std::int32_t> tokens;
  double log_probability = 0;
};
StepByStep draw_step_by_step(const model::Transformer& model, TokenProgram& program,
                             const model::DecodePrecision& precision) {
  const std::int64_t rows = program.row_count();
  model::DecodeSession session(model, rows, program.capacity(), precision);
  std::vector<model::DecodePrompt> prompts;
  std::vector<std::int64_t> sequences;
  for (std::int64_t row = 0; row < rows; ++row) {
    prompts.push_back(program.take_prompt(row));
    sequences.push_back(row);
  }
  session.prefill(prompts);
  StepByStep result;
  while (true) {
    const TokenChoice choice = program.choice();
    const auto logits = session.logits(
        sequences, std::vector<sequence::AllowedTokens>(static_cast<std::size_t>(rows), choice.allowed));
    const std::vector<std::span<const float>> spans(logits.begin(), logits.end());
    kernels::SamplingInput input;
    input.rows = spans;
    input.guidance = choice.guidance;
    const kernels::SampledToken sampled = kernels::sample_token(input, *choice.sampling, choice.key);
    result.tokens.push_back(choice.allowed.token(sampled.index));
    result.log_probability += sampled.log_probability;
    program.choose(result.tokens.back());
    if (program.finished()) return result;
    std::vector<std::vector<model::DecodeToken>> tokens;
    for (std::int64_t row = 0; row < rows; ++row) tokens.push_back(program.take_unseen(row));
    session.append(tokens);
  }
}

// A model on the device, in half precision, whose heads have kernels: of one stream, or of two whose last block
// is over the generated one alone.
std::unique_ptr<model::Transformer> model_in_halves(const sequence::Vocabulary& vocabulary,
                                                    const sequence::SequenceLayout& layout,
                                                    std::int64_t streams) {
  model::TransformerConfig config = testing::tiny_transformer_config_without_codebooks();
  config.width = 128;
  if (streams == 2) {
    config.streams = 2;
    config.dual_blocks = 2;
    config.single_blocks = 1;
    config.single_over = "generated";
    config.rope = "interleaved";
  }
  auto model = std::make_unique<model::Transformer>(config, vocabulary, layout, 3);
  model->to(test::device());
  model->set_activation_type(at::kBFloat16);
  return model;
}

bool makes_text(const DocumentRequest& request) {
  return std::any_of(request.segments.begin(), request.segments.end(), [](const SegmentRequest& segment) {
    return segment.modality == sequence::Modality::text && !segment.given;
  });
}

class StretchesGpu : public ::testing::TestWithParam<std::tuple<const char*, std::int64_t>> {
 protected:
  void SetUp() override {
    if (!test::device_refusal().empty()) GTEST_SKIP() << test::device_refusal();
    model_ = model_in_halves(vocabulary_, layout_, streams_);
  }

  const sequence::Vocabulary vocabulary_ = sequence::testing::small_vocabulary();
  const sequence::SequenceLayout layout_ = sequence::testing::small_layout();
  const std::string_view precision_name_ = std::get<0>(GetParam());
  const std::int64_t streams_ = std::get<1>(GetParam());
  const model::DecodePrecision precision_ = model::parse_decode_precision(precision_name_);
  std::unique_ptr<model::Transformer> model_;
};
INSTANTIATE_TEST_SUITE_P(PrecisionsAndStreams, StretchesGpu,
                         ::testing::Combine(::testing::Values("bf16", "int8"), ::testing::Values(1, 2)));

TEST_P(StretchesGpu, DrawWhatStepsDrawOneByOne) {
  std::vector<DocumentRequest> requests = requests_of_every_task(vocabulary_, layout_);
  // Steps take long where the processor plays the GPU: each setting has a quarter of the tasks.
  const std::size_t first = (precision_name_ == "int8" ? 1 : 0) + (streams_ == 2 ? 2 : 0);
  for (std::size_t i = first; i < requests.size(); i += 4) {
    DocumentRequest& request = requests[i];
    if (streams_ == 2 && makes_text(request)) continue;
    for (SegmentRequest& segment : request.segments)
      if (segment.modality == sequence::Modality::shape) segment.geometry_length = 8;
    request.schedule = GuidanceSchedule::linear;
    DocumentProgram reference(*model_, request, 0);
    const StepByStep expected = draw_step_by_step(*model_, reference, precision_);
    std::vector<std::unique_ptr<TokenProgram>> programs;
    programs.push_back(std::make_unique<DocumentProgram>(*model_, request, 0));
    std::int64_t most = 0, all = 0;
    const auto count = [&](std::int64_t tokens) {
      most = std::max(most, tokens);
      all += tokens;
    };
    const std::vector<double> logs =
        run_programs(*model_, programs, {.precision = precision_, .on_tokens = count}).log_probabilities;
    EXPECT_EQ(static_cast<const DocumentProgram&>(*programs[0]).document(), reference.document());
    EXPECT_NEAR(logs[0], expected.log_probability, 1e-4 * (1 + std::abs(expected.log_probability)));
    EXPECT_EQ(all, static_cast<std::int64_t>(expected.tokens.size()));
    const bool has_codes = request.segments.back().modality != sequence::Modality::text;
    if (has_codes && !test::rehearsing()) EXPECT_GE(most, 4) << "codes come in stretches";
  }
}

// Some end before others, and each one draws what it draws alone.
TEST_P(StretchesGpu, SamplesSideBySideDrawWhatEachDrawsAlone) {
  if (test::rehearsing()) GTEST_SKIP() << "on a processor rows in halves depend on their neighbours";
  DocumentRequest request;
  CounterRng rng(4);
  request.segments = {
      {.modality = sequence::Modality::text,
       .given = sequence::testing::random_segment(sequence::Modality::text, vocabulary_, layout_, rng),
       .fixed_tokens = {}},
      {.modality = sequence::Modality::shape, .given = {}, .fixed_tokens = {}}};
  request.guidance = {2};
  request.count = 3;
  const auto together = decode(*model_, {&request, 1}, {.precision = precision_, .on_tokens = {}});
  ASSERT_EQ(together.size(), 3u);
  for (std::uint64_t number = 0; number < 3; ++number) {
    DocumentProgram reference(*model_, request, number);
    draw_step_by_step(*model_, reference, precision_);
    EXPECT_EQ(together[number], reference.document()) << number;
  }
}

}  // namespace
}  // namespace omni::generation
