#include "omni/generation/token_program.h"

#include <gtest/gtest.h>

#include <cmath>

#include "../sequence/sequence_fixtures.h"
#include "document_program.h"
#include "generation_fixtures.h"
#include "omni/core/error.h"
#include "omni/sequence/packed_sequence.h"
#include "omni/sequence/task.h"
#include "recording_keeper.h"

namespace omni::generation {
namespace {

using sequence::Document;

// One stream; two streams with single blocks over both; and over the generated one alone.
model::TransformerConfig layout_number(int number) {
  model::TransformerConfig config = testing::tiny_transformer_config_without_codebooks();
  if (number == 0) return config;
  config.streams = 2;
  config.dual_blocks = 2;
  config.single_blocks = 1;
  config.single_over = number == 1 ? "all" : "generated";
  config.rope = "interleaved";
  return config;
}

class EveryStreamLayout : public ::testing::TestWithParam<int> {
 protected:
  sequence::Vocabulary vocabulary_ = sequence::testing::small_vocabulary();
  sequence::SequenceLayout layout_ = sequence::testing::small_layout();
  model::Transformer model_{layout_number(GetParam()), vocabulary_, layout_, 3};

  std::vector<sequence::Task> tasks() const {
    std::vector<sequence::Task> tasks;
    for (const std::string& name : sequence::built_in_task_names()) {
      const sequence::Task task = sequence::built_in_task(name);
      if (!model_.config().drops_text() || !sequence::makes(task, sequence::Modality::text))
        tasks.push_back(task);
    }
    return tasks;
  }

  DocumentRequest request_for(const sequence::Task& task, std::uint64_t seed) const {
    CounterRng rng(seed, 23);
    DocumentRequest request;
    request.seed = seed;
    for (const sequence::TaskSegment& segment : task.segments) {
      SegmentRequest entry{.modality = segment.modality, .given = {}, .fixed_tokens = {}};
      if (!segment.loss)
        entry.given = sequence::testing::random_segment(segment.modality, vocabulary_, layout_, rng);
      request.segments.push_back(std::move(entry));
    }
    return request;
  }

  at::Tensor full_logits(const Document& document) const {
    sequence::PackedSequence packed;
    sequence::append_document(packed, document, vocabulary_, layout_);
    return model_.logits(packed);
  }

  DecodedDocument decode(const DocumentRequest& request) const {
    DecodedDocument decoded;
    decode_documents(model_, {&request, 1}, {},
                     [&](std::span<DecodedDocument> batch) { decoded = std::move(batch.front()); });
    return decoded;
  }
};
INSTANTIATE_TEST_SUITE_P(Layouts, EveryStreamLayout, ::testing::Values(0, 1, 2));

// The reference: the finished document through the forward pass without a cache.
TEST_P(EveryStreamLayout, CachedLogitsEqualTheFullContextsAtEveryChoiceOfEveryTask) {
  for (const sequence::Task& task : tasks()) {
    const DocumentRequest request = request_for(task, 5);
    DocumentProgram program(model_, request, 0);
    model::DecodeSession session(model_, 1, program.capacity());
    const std::vector<model::DecodePrompt> prompt = {program.take_prompt(0)};
    session.prefill(prompt);
    struct Seen {
      std::int64_t position;
      sequence::AllowedTokens allowed;
      std::vector<float> logits;
    };
    std::vector<Seen> seen;
    CounterRng rng(9);
    const std::vector<std::int64_t> first = {0};
    while (!program.finished()) {
      const std::vector<sequence::AllowedTokens> allowed = {program.choice().allowed};
      seen.push_back({session.length(0) - 1, allowed[0], session.logits(first, allowed)[0]});
      const auto count = static_cast<std::uint64_t>(allowed[0].count());
      program.choose(allowed[0].token(static_cast<std::int32_t>(rng.below(count))));
      if (program.finished()) break;
      session.append(std::vector<std::vector<model::DecodeToken>>{program.take_unseen(0)});
    }
    ASSERT_FALSE(seen.empty()) << task.name;
    const at::Tensor full = full_logits(program.document());
    for (const Seen& each : seen)
      for (std::int32_t i = 0; i < each.allowed.count(); ++i)
        EXPECT_NEAR(each.logits[static_cast<std::size_t>(i)],
                    full[each.position][each.allowed.token(i)].item<float>(), 1e-4)
            << task.name << ", position " << each.position;
  }
}

TEST_P(EveryStreamLayout, EightRaggedPromptsGiveWhatEachGivesAlone) {
  std::vector<DocumentRequest> requests;
  for (std::int32_t i = 0; i < 8; ++i) {
    requests.push_back(request_for(sequence::built_in_task("text->shape"), 40 + static_cast<unsigned>(i)));
    sequence::TextPayload text;
    for (std::int32_t k = 0; k < i % 6; ++k) text.tokens.push_back((3 * i + k) % 11);
    requests.back().segments[0].given = {.payload = text};
    if (i % 2 == 1) requests.back().guidance = {2.5};
  }
  std::vector<Document> together;
  decode_documents(model_, requests, {}, [&](std::span<DecodedDocument> batch) {
    EXPECT_EQ(batch.size(), requests.size());
    for (DecodedDocument& decoded : batch) together.push_back(std::move(decoded.document));
  });
  ASSERT_EQ(together.size(), requests.size());
  for (std::size_t i = 0; i < requests.size(); ++i)
    EXPECT_EQ(decode(requests[i]).document, together[i]) << "prompt " << i;
}

TEST_P(EveryStreamLayout, LogProbabilitiesAreThoseOfTheChoices) {
  DocumentRequest request = request_for(sequence::built_in_task("text->shape"), 6);
  request.sampling.temperature = 2;  // which they do not follow
  request.segments[1].geometry_length = 8;
  const DecodedDocument decoded = decode(request);
  const at::Tensor full = full_logits(decoded.document).to(at::kDouble);
  const std::vector<std::int32_t> tokens = sequence::document_tokens(decoded.document, vocabulary_, layout_);
  double expected = 0;
  DocumentRow row(vocabulary_, layout_, request.segments, 1);
  while (row.advance_to_choice()) {
    const std::size_t at = row.tokens().size();
    double total = 0;
    for (std::int32_t i = 0; i < row.choices().count(); ++i)
      total += std::exp(full[static_cast<std::int64_t>(at) - 1][row.choices().token(i)].item<double>());
    expected += full[static_cast<std::int64_t>(at) - 1][tokens[at]].item<double>() - std::log(total);
    row.choose(tokens[at]);
  }
  EXPECT_LT(expected, -1);
  EXPECT_NEAR(decoded.log_probability, expected, 1e-3);
}

// A shape that starts with codes of another one goes on as that one did: a draw is keyed by its place.
TEST_P(EveryStreamLayout, FixedCodesAreCompleted) {
  DocumentRequest request = request_for(sequence::built_in_task("text->shape"), 11);
  request.segments[1].geometry_length = 8;
  const Document whole = decode(request).document;
  const auto& shape = std::get<sequence::ShapePayload>(whole.segments[1].payload);
  const sequence::SegmentParts parts(vocabulary_, layout_);
  const sequence::TokenRange& codes = vocabulary_.range(sequence::kRangeGeometry);
  for (const sequence::SegmentPart& part : parts.of(sequence::Modality::shape)) {
    if (part.range != sequence::kRangeGeometry) continue;
    for (std::int32_t i = 0; i < 5; ++i)
      request.segments[1].fixed_tokens.emplace_back(
          part.first_slot + i, codes.first + shape.geometry[static_cast<std::size_t>(i)]);
  }
  ASSERT_EQ(request.segments[1].fixed_tokens.size(), 5u);
  EXPECT_EQ(decode(request).document, whole);
  const std::int32_t other = (shape.geometry[0] + 1) % codes.size;
  request.segments[1].fixed_tokens[0].second = codes.first + other;
  const auto completed = decode(request).document;
  EXPECT_EQ(std::get<sequence::ShapePayload>(completed.segments[1].payload).geometry[0], other);
}

// Two runs that choose differently stay at the same places for as long as the program says.
TEST_P(EveryStreamLayout, SettledChoicesHaveTheSamePlacesWhateverIsChosen) {
  std::int64_t longest = 0;
  for (const sequence::Task& task : tasks()) {
    DocumentRequest request = request_for(task, 8);
    for (SegmentRequest& segment : request.segments)
      if (segment.modality == sequence::Modality::shape) segment.geometry_length = 8;
    DocumentProgram program(model_, request, 0);
    CounterRng rng(3);
    while (!program.finished()) {
      const std::int64_t settled = program.settled_choices();
      ASSERT_GE(settled, 1);
      longest = std::max(longest, settled);
      DocumentProgram other = program;
      (void)program.take_unseen(0);
      (void)other.take_unseen(0);
      for (std::int64_t i = 0; i < settled; ++i) {
        ASSERT_FALSE(program.finished());
        ASSERT_FALSE(other.finished());
        EXPECT_EQ(program.settled_choices(), settled - i);
        const sequence::AllowedTokens allowed = program.choice().allowed;
        EXPECT_EQ(allowed, other.choice().allowed);
        program.choose(
            allowed.token(static_cast<std::int32_t>(rng.below(static_cast<std::uint64_t>(allowed.count())))));
        other.choose(allowed.token(static_cast<std::int32_t>(i) % allowed.count()));
        const auto a = program.take_unseen(0), b = other.take_unseen(0);
        if (i + 1 == settled) break;
        ASSERT_EQ(a.size(), 1u) << "nothing is forced in between";
        EXPECT_EQ(a[0].place.offset, b.at(0).place.offset);
        EXPECT_EQ(a[0].place.slot, b.at(0).place.slot);
      }
    }
  }
  EXPECT_EQ(longest, 8) << "the codes of a shape come in one go";
}

// The reference: drawing that nothing stopped, of every task, with prompts of several lengths and some under guidance.
TEST_P(EveryStreamLayout, DrawsThatWereStoppedEndAsIfTheyHadNotBeen) {
  std::vector<DocumentRequest> requests;
  for (const sequence::Task& task : tasks()) {
    requests.push_back(request_for(task, 60 + requests.size()));
    const std::int64_t conditions = shown_condition_count(requests.back().segments);
    if (requests.size() % 2 == 1) requests.back().guidance.assign(static_cast<std::size_t>(conditions), 2.5);
  }
  requests.front().count = 2;
  const auto decode_all = [&](DrawKeeper* keeper, std::int64_t sequences) {
    std::vector<DecodedDocument> all;
    DecodeOptions options;
    options.keeper = keeper;
    options.sequences_per_batch = sequences;
    decode_documents(model_, requests, options, [&](std::span<DecodedDocument> batch) {
      for (DecodedDocument& decoded : batch) all.push_back(std::move(decoded));
    });
    return all;
  };
  const std::vector<DecodedDocument> expected = decode_all(nullptr, 96);
  for (const int stopped_after : {1, 2, 7, 15, 1000}) {
    test::RecordingKeeper keeper(stopped_after);
    decode_all(&keeper, 96);
    ASSERT_GT(keeper.tokens(), 0u);
    const std::vector<DecodedDocument> resumed = decode_all(&keeper, stopped_after == 2 ? 5 : 96);
    EXPECT_TRUE(keeper.refused.empty());
    ASSERT_EQ(resumed.size(), expected.size());
    for (std::size_t i = 0; i < resumed.size(); ++i) {
      EXPECT_EQ(resumed[i].document, expected[i].document) << stopped_after << ": " << i;
      EXPECT_EQ(resumed[i].log_probability, expected[i].log_probability) << stopped_after << ": " << i;
    }
  }
}

TEST_P(EveryStreamLayout, WhatNoDrawCouldHaveChosenIsRefusedAndDrawnAnew) {
  DocumentRequest request = request_for(sequence::built_in_task("text->shape"), 11);
  const DecodedDocument expected = decode(request);
  const auto with = [&](test::RecordingKeeper& keeper) {
    DecodedDocument decoded;
    DecodeOptions options;
    options.keeper = &keeper;
    decode_documents(model_, {&request, 1}, options,
                     [&](std::span<DecodedDocument> batch) { decoded = std::move(batch.front()); });
    return decoded;
  };
  for (const std::int32_t wrong : {-1, static_cast<std::int32_t>(sequence::kEos), 1 << 30}) {
    test::RecordingKeeper keeper(5);
    with(keeper);
    keeper.kept(0, 0).tokens.at(3) = wrong;
    const DecodedDocument anew = with(keeper);
    EXPECT_EQ(keeper.refused.size(), 1u) << wrong;
    EXPECT_EQ(anew.document, expected.document) << wrong;
    EXPECT_EQ(anew.log_probability, expected.log_probability) << wrong;
  }
  test::RecordingKeeper keeper(1000);
  with(keeper);
  keeper.kept(0, 0).tokens.push_back(keeper.kept(0, 0).tokens.back());  // one more than there are choices
  EXPECT_EQ(with(keeper).document, expected.document);
  EXPECT_EQ(keeper.refused.size(), 1u);
}

TEST(GuidanceSchedule, FallsLinearlyToOne) {
  const GuidanceSchedule linear = parse_guidance_schedule("linear");
  // Cube3D: 1 + s (L - i) / L with s = 3.
  EXPECT_DOUBLE_EQ(scheduled_weight(linear, 4, 0, 1024), 4);
  EXPECT_DOUBLE_EQ(scheduled_weight(linear, 4, 256, 1024), 3.25);
  EXPECT_DOUBLE_EQ(scheduled_weight(linear, 4, 1024, 1024), 1);
  EXPECT_DOUBLE_EQ(scheduled_weight(parse_guidance_schedule("constant"), 4, 1000, 1024), 4);
  EXPECT_THROW((void)parse_guidance_schedule("cosine"), Error);
}

}  // namespace
}  // namespace omni::generation
