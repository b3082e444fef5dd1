// Sampling on a GPU against the processor.
#include <gtest/gtest.h>

#include "../sequence/sequence_fixtures.h"
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

class DocumentDecoderGpu : public ::testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(HeadSizes, DocumentDecoderGpu, ::testing::Values(16, 64));

TEST_P(DocumentDecoderGpu, TheSameSeedDrawsTheProcessorsTokens) {
  if (!test::device_refusal().empty()) GTEST_SKIP() << test::device_refusal();
  const sequence::Vocabulary vocabulary = sequence::testing::small_vocabulary();
  const sequence::SequenceLayout layout = sequence::testing::small_layout();
  model::TransformerConfig config = testing::tiny_transformer_config_without_codebooks();
  config.width = 2 * GetParam();
  model::Transformer model(config, vocabulary, layout, 3);
  const std::vector<DocumentRequest> requests = requests_of_every_task(vocabulary, layout);
  const std::vector<sequence::Document> expected = decode(model, requests);
  model.to(test::device());
  EXPECT_EQ(decode(model, requests), expected);
  EXPECT_EQ(decode(model, {&requests[1], 1}).front(), expected[1]) << "one sequence alone";
  // In half precision a token may differ; what is drawn is well-formed all the same.
  model.set_activation_type(at::kBFloat16);
  for (const char* precision : {"bf16", "int8"})
    for (const sequence::Document& document :
         decode(model, requests, {.precision = model::parse_decode_precision(precision), .on_tokens = {}}))
      EXPECT_NO_THROW((void)sequence::document_tokens(document, vocabulary, layout)) << precision;
}

}  // namespace
}  // namespace omni::generation
