// What a step of training allocates.
#include <gtest/gtest.h>

#include <string>

#include "omni/kernels/tensor_memory.h"
#include "small_world.h"

namespace omni::model {
namespace {

constexpr std::int64_t kChunkBytes = 128 << 20;  // of logits: see kernels::row_cross_entropy

// Documents of text alone, for a vocabulary of which a table is larger than a chunk.
struct Case {
  std::string name;
  at::ScalarType type;
  bool full_softmax;
};
std::ostream& operator<<(std::ostream& out, const Case& c) { return out << c.name; }

class LargeVocabularySlow : public testing::TestWithParam<Case> {
 protected:
  LargeVocabularySlow() {
    layout_.text_capacity = 126;
    layout_.geometry_lengths = {8};
    layout_.geometry_grid_side = 2;
    config_.width = 192;
    config_.single_blocks = 1;
    config_.heads = 3;
  }
  // Ten chunks of logits: documents of 128 tokens, of which each but the first few is a target.
  sequence::PackedSequence sequence() const {
    const auto element = static_cast<std::int64_t>(c10::elementSize(GetParam().type));
    CounterRng rng(1);
    sequence::PackedSequence sequence;
    while (sequence.length() * vocabulary_.size() * element < 10 * kChunkBytes) {
      sequence::Segment text{sequence::TextPayload{random_codes(rng, 120, kTextTokens)}};
      text.carries_loss = true;
      sequence::append_document(sequence, {{text}}, vocabulary_, layout_);
    }
    return sequence;
  }
  static constexpr std::int32_t kTextTokens = 180'000;
  sequence::Vocabulary vocabulary_ = sequence::make_vocabulary({.text = kTextTokens, .geometry = 16'384});
  sequence::SequenceLayout layout_;
  TransformerConfig config_;
};
INSTANTIATE_TEST_SUITE_P(Cases, LargeVocabularySlow,
                         testing::Values(Case{"allowed_bf16", at::kBFloat16, false},
                                         Case{"all_fp32", at::kFloat, true}),
                         [](const auto& info) { return info.param.name; });

TEST_P(LargeVocabularySlow, NothingIsLargerThanAChunkOfLogits) {
  const std::vector<RangeCodebook> codebooks = {{"geometry", at::randn({16'384, 8})}};
  Transformer transformer(config_, vocabulary_, layout_, 1, codebooks);
  transformer.set_activation_type(GetParam().type);
  ASSERT_GT(vocabulary_.size() * config_.width * 4, kChunkBytes);
  transformer.loss(transformer.prepare({})).objective.sum().backward();  // makes the weights' own gradients
  const PreparedBatch batch = transformer.prepare(sequence(), {.full_softmax = GetParam().full_softmax});
  const kernels::TensorMemory memory;
  transformer.loss(batch).objective.sum().backward();
  EXPECT_LE(memory.largest_bytes(), kChunkBytes);
  EXPECT_GT(memory.largest_bytes(), kChunkBytes / 2);
}

TEST(RecomputingSlow, HalvesTheActivationsOfTwentyFourBlocksAtLeast) {
  TransformerConfig config = small_config();
  config.width = 128;
  config.single_blocks = 24;
  const sequence::Vocabulary vocabulary = small_vocabulary();
  Transformer transformer(config, vocabulary, small_layout(), 5);
  const PreparedBatch batch =
      transformer.prepare(packed(std::vector<sequence::Document>(64, random_document(2)), vocabulary));
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    transformer.set_activation_type(type);
    const auto peak = [&](bool recompute) {
      transformer.set_recompute(recompute);
      const kernels::TensorMemory memory;
      transformer.loss(batch).objective.sum().backward();
      return memory.peak_bytes();
    };
    peak(false);  // makes the gradients and the cast weights
    const std::int64_t kept = peak(false);
    EXPECT_LE(2 * peak(true), kept) << type;
  }
}

}  // namespace
}  // namespace omni::model
