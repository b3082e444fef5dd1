#include "omni/generation/document_decoder.h"

#include <gtest/gtest.h>

#include <cmath>

#include "../sequence/sequence_fixtures.h"
#include "document_rows.h"
#include "generation_fixtures.h"
#include "omni/core/error.h"
#include "omni/sequence/packed_sequence.h"
#include "omni/sequence/task.h"

namespace omni::generation {
namespace {

using sequence::Document;
using sequence::Modality;

class DocumentDecoder : public ::testing::Test {
 protected:
  sequence::Vocabulary vocabulary_ = sequence::testing::small_vocabulary();
  sequence::SequenceLayout layout_ = sequence::testing::small_layout();
  model::Transformer model_{testing::tiny_transformer_config_without_codebooks(), vocabulary_, layout_, 3};

  DocumentRequest request_for(const sequence::Task& task, std::uint64_t seed) const {
    CounterRng rng(seed, 17);
    DocumentRequest request;
    request.seed = seed;
    for (const sequence::TaskSegment& segment : task.segments) {
      SegmentRequest entry{.modality = segment.modality, .given = {}, .fixed_tokens = {}};
      if (!segment.loss) {
        entry.given = sequence::testing::random_segment(segment.modality, vocabulary_, layout_, rng);
      }
      request.segments.push_back(std::move(entry));
    }
    return request;
  }

  std::vector<Document> decode(std::span<const DocumentRequest> requests,
                               const DecodeOptions& options = {}) const {
    std::vector<Document> documents;
    decode_documents(model_, requests, options, [&](std::span<DecodedDocument> batch) {
      for (DecodedDocument& decoded : batch) documents.push_back(std::move(decoded.document));
    });
    return documents;
  }

  std::int64_t condition_count(const DocumentRequest& request) const {
    return shown_condition_count(request.segments);
  }

  void expect_well_formed(const DocumentRequest& request, const Document& document) const {
    ASSERT_EQ(document.segments.size(), request.segments.size());
    for (std::size_t i = 0; i < document.segments.size(); ++i) {
      EXPECT_EQ(document.segments[i].modality(), request.segments[i].modality);
      if (request.segments[i].given) {
        EXPECT_EQ(document.segments[i].payload, request.segments[i].given->payload);
      }
    }
    EXPECT_NO_THROW((void)sequence::document_tokens(document, vocabulary_, layout_));
  }
};

TEST_F(DocumentDecoder, EveryTaskAndSettingGivesAWellFormedDocument) {
  std::vector<kernels::SamplingSettings> settings(5);
  settings[0].temperature = 0;
  settings[1].temperature = 5;
  settings[2].top_k = 2;
  settings[3].top_p = 0.3;
  settings[4].min_p = 0.5;
  std::vector<DocumentRequest> requests;
  for (const std::string& name : sequence::built_in_task_names()) {
    for (std::size_t i = 0; i < settings.size(); ++i) {
      DocumentRequest request = request_for(sequence::built_in_task(name), requests.size());
      request.sampling = settings[i];
      if (i % 2 == 1) request.guidance.assign(static_cast<std::size_t>(condition_count(request)), 2.5);
      requests.push_back(std::move(request));
    }
  }
  const std::vector<Document> documents = decode(requests);
  ASSERT_EQ(documents.size(), requests.size());
  for (std::size_t i = 0; i < requests.size(); ++i) expect_well_formed(requests[i], documents[i]);
}

TEST_F(DocumentDecoder, KeepsFixedControlsAndLengths) {
  DocumentRequest request = request_for(sequence::built_in_task("text->shape"), 4);
  request.segments[1].geometry_length = 4;
  request.segments[1].with_colour = false;
  const std::int32_t size_token = vocabulary_.range(sequence::kRangeSize).first + 9;
  request.segments[1].fixed_tokens = {{1, size_token}};
  const Document document = decode({&request, 1}).front();
  const auto& shape = std::get<sequence::ShapePayload>(document.segments[1].payload);
  EXPECT_EQ(shape.geometry.size(), 4u);
  EXPECT_TRUE(shape.colour.empty());
  EXPECT_EQ(shape.size, 9);
  for (const auto& extent : shape.box) EXPECT_TRUE(extent.has_value()) << "<any> is never generated";
}

TEST_F(DocumentDecoder, WeightsOfOneArePlainConditionalSampling) {
  for (const char* task : {"text->shape", "text+image->shape"}) {
    DocumentRequest plain = request_for(sequence::built_in_task(task), 8);
    DocumentRequest weighted = plain;
    weighted.guidance.assign(static_cast<std::size_t>(condition_count(plain)), 1.0);
    EXPECT_EQ(decode({&plain, 1}), decode({&weighted, 1}));
  }
}

TEST_F(DocumentDecoder, ASampleDoesNotDependOnItsCompany) {
  std::vector<DocumentRequest> requests;
  for (const std::string& name : sequence::built_in_task_names()) {
    requests.push_back(request_for(sequence::built_in_task(name), requests.size()));
    requests.back().first_sample = requests.size() % 3;
    if (requests.size() % 2 == 0) {
      requests.back().guidance.assign(static_cast<std::size_t>(condition_count(requests.back())), 3.0);
    }
  }
  const std::vector<Document> together = decode(requests);
  const std::vector<Document> in_small_batches =
      decode(requests, {.sequences_per_batch = 5, .on_tokens = {}});
  EXPECT_EQ(together, in_small_batches);
  for (std::size_t i = 0; i < requests.size(); ++i) {
    EXPECT_EQ(decode({&requests[i], 1}).front(), together[i]) << "request " << i;
  }
}

TEST_F(DocumentDecoder, SampleNumbersGiveDifferentSamples) {
  DocumentRequest request = request_for(sequence::built_in_task("text->shape"), 1);
  request.first_sample = 5;
  request.count = 4;
  const std::vector<Document> documents = decode({&request, 1});
  ASSERT_EQ(documents.size(), 4u);
  for (std::size_t i = 1; i < documents.size(); ++i) EXPECT_NE(documents[i], documents[0]);
}

TEST_F(DocumentDecoder, BatchesRunThroughSamplesAndRequests) {
  std::vector<DocumentRequest> requests(2, request_for(sequence::built_in_task("text->shape"), 1));
  requests[0].count = 3;
  requests[1].count = 2;
  requests[1].first_sample = 7;
  requests[1].guidance = {2};
  std::vector<std::size_t> sizes;
  std::vector<std::pair<std::size_t, std::uint64_t>> order;
  decode_documents(model_, requests, {.sequences_per_batch = 4, .on_tokens = {}},
                   [&](std::span<DecodedDocument> batch) {
                     sizes.push_back(batch.size());
                     for (const DecodedDocument& decoded : batch)
                       order.emplace_back(decoded.request, decoded.sample_number);
                   });
  EXPECT_EQ(sizes, (std::vector<std::size_t>{3, 2})) << "guidance takes two sequences a sample";
  EXPECT_EQ(order,
            (std::vector<std::pair<std::size_t, std::uint64_t>>{{0, 0}, {0, 1}, {0, 2}, {1, 7}, {1, 8}}));
}

// The reference: the finished document, with and without its condition, through the full-context forward
// pass.
TEST_F(DocumentDecoder, GreedyGuidedTokensAreTheBestOfTheGuidedLogits) {
  constexpr double weight = 3;
  DocumentRequest request = request_for(sequence::built_in_task("text->shape"), 12);
  request.sampling.temperature = 0;
  request.guidance = {weight};
  request.segments[1].geometry_length = 8;
  const Document document = decode({&request, 1}).front();
  Document dropped = document;
  dropped.segments[0].dropped = true;
  sequence::PackedSequence with, without;
  for (auto [packed, source] : {std::pair{&with, document}, std::pair{&without, dropped}}) {
    source.segments[1].carries_loss = true;
    sequence::append_document(*packed, source, vocabulary_, layout_);
  }
  const at::Tensor shown = model_.logits(with), hidden = model_.logits(without);
  const std::int64_t shift = with.length() - without.length();
  int choices = 0;
  for (std::int64_t i = 0; i < without.length(); ++i) {
    constexpr std::int32_t before_detail = 4;  // the request fixes that token
    if (without.loss_weights[static_cast<std::size_t>(i)] == 0) continue;
    if (without.slots[static_cast<std::size_t>(i)] == before_detail) continue;
    const auto& allowed =
        without.allowed_sets[static_cast<std::size_t>(without.allowed[static_cast<std::size_t>(i)])];
    const auto guided = [&](std::int32_t token) {
      const double base = hidden[i][token].item<float>(), more = shown[i + shift][token].item<float>();
      return base + weight * (more - base);
    };
    const std::int32_t chosen = without.targets[static_cast<std::size_t>(i)];
    for (std::int32_t k = 0; k < allowed.count(); ++k) {
      if (allowed.token(k) == sequence::kAny) continue;
      EXPECT_LE(guided(allowed.token(k)), guided(chosen) + 1e-3) << "position " << i;
    }
    ++choices;
  }
  EXPECT_GE(choices, 8);
}

TEST_F(DocumentDecoder, DroppingAConditionMovesNoPosition) {
  const DocumentRequest request = request_for(sequence::built_in_task("text+image->shape"), 2);
  std::vector<DocumentRow> rows;
  for (std::int64_t kept = 0; kept <= 2; ++kept)
    rows.emplace_back(vocabulary_, layout_, request.segments, kept);
  std::vector<sequence::TokenPlace> places;
  for (DocumentRow& row : rows) {
    ASSERT_TRUE(row.advance_to_choice());
    places.push_back(*row.take_unseen().back().next_place);
  }
  EXPECT_EQ(places[0].offset, places[2].offset);
  EXPECT_EQ(places[1].offset, places[2].offset);
  EXPECT_LT(rows[0].tokens().size(), rows[2].tokens().size());
}

TEST_F(DocumentDecoder, RejectsWeightsThatFitNoCondition) {
  DocumentRequest request = request_for(sequence::built_in_task("text->shape"), 2);
  request.guidance = {1, 2};
  EXPECT_THROW((void)decode({&request, 1}), Error);
}

TEST_F(DocumentDecoder, CountsSampledTokens) {
  const DocumentRequest request = request_for(sequence::built_in_task("text->shape"), 6);
  std::int64_t sampled = 0;
  DecodeOptions options;
  options.on_tokens = [&](std::int64_t count) { sampled += count; };
  (void)decode({&request, 1}, options);
  EXPECT_GT(sampled, 0);
  EXPECT_LE(sampled, sampled_token_bound(request, vocabulary_, layout_));

  // With a length that is asked for there is nothing left to guess.
  DocumentRequest short_one = request;
  short_one.segments.back().geometry_length = layout_.geometry_lengths.front();
  short_one.segments.back().with_colour = false;
  sampled = 0;
  (void)decode({&short_one, 1}, options);
  EXPECT_EQ(sampled, sampled_token_bound(short_one, vocabulary_, layout_));
}

}  // namespace
}  // namespace omni::generation
