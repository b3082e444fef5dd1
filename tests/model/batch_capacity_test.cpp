#include "omni/model/batch_capacity.h"

#include <gmock/gmock.h>

#include "small_world.h"

namespace omni::model {
namespace {

class BatchCapacityTest : public testing::TestWithParam<std::string> {
 protected:
  TransformerConfig config() const {
    return GetParam() == "one" ? small_config() : two_stream_config(GetParam().substr(4));
  }
  // Batch number `seed`: documents that differ in number, length and kind.
  sequence::PackedSequence batch(std::uint64_t seed, const sequence::Vocabulary& vocabulary) const {
    std::vector<sequence::Document> documents;
    for (std::uint64_t i = 0; i < 3 + seed % 4; ++i) {
      documents.push_back(random_document(10 * seed + i, !config().drops_text()));
      if (seed % 3 == 1) documents.back().segments.pop_back();  // no shape in the whole batch
    }
    sequence::PackedSequence sequence = packed(documents, vocabulary);
    for (std::size_t d = 0; d < documents.size(); ++d)
      sequence.document_tasks.push_back(static_cast<std::int32_t>(d % 2));
    return sequence;
  }

  sequence::Vocabulary vocabulary_ = small_vocabulary();
};
INSTANTIATE_TEST_SUITE_P(Streams, BatchCapacityTest, testing::Values("one", "two_all", "two_generated"),
                         [](const auto& info) { return info.param; });

TEST_P(BatchCapacityTest, BatchesOfAMixtureHaveOneShape) {
  const Transformer model(config(), vocabulary_, small_layout(), 5, small_codebooks());
  BatchCapacity needs;
  for (std::uint64_t seed = 0; seed < 6; ++seed) needs.include(model.needs(batch(seed, vocabulary_)));
  PrepareOptions options{.task_count = 2};
  options.capacity = std::make_shared<const BatchCapacity>(needs.with_room(0.1, 256));
  const PreparedBatch first = model.prepare(batch(0, vocabulary_), options);
  ASSERT_TRUE(first.fills_capacity());
  for (std::uint64_t seed = 1; seed < 6; ++seed) {
    const PreparedBatch other = model.prepare(batch(seed, vocabulary_), options);
    EXPECT_TRUE(other.fills_capacity()) << seed;
    EXPECT_TRUE(other.has_shape_of(first)) << seed;
    EXPECT_EQ(other.bytes(), first.bytes());
    EXPECT_FALSE(model.prepare(batch(seed, vocabulary_), {.task_count = 2}).has_shape_of(first)) << seed;
  }
}

TEST_P(BatchCapacityTest, WeightlessRowsChangeNeitherLossNorGradients) {
  for (std::uint64_t seed = 0; seed < 4; ++seed) {
    const sequence::PackedSequence sequence = batch(seed, vocabulary_);
    Transformer plain(config(), vocabulary_, small_layout(), 5, small_codebooks()),
        fixed(config(), vocabulary_, small_layout(), 5, small_codebooks());
    BatchCapacity needs;
    for (const std::uint64_t other : {0, 1, 2, 3}) needs.include(fixed.needs(batch(other, vocabulary_)));
    PrepareOptions options{.task_count = 2};
    const LossOptions loss_options{.z_loss = 0.01, .modality_weights = {0.5, 2, 3}};
    const TransformerLoss expected = plain.loss(plain.prepare(sequence, options), loss_options);
    options.capacity = std::make_shared<const BatchCapacity>(needs.with_room(0.3, 512));
    const PreparedBatch batch = fixed.prepare(sequence, options);
    ASSERT_TRUE(batch.fills_capacity());
    const TransformerLoss computed = fixed.loss(batch, loss_options);
    EXPECT_TRUE(at::allclose(computed.objective, expected.objective, 1e-6, 1e-6));
    EXPECT_TRUE(at::allclose(computed.sums, expected.sums, 1e-6, 1e-9));
    const at::Tensor &all = computed.position_cross_entropy, own = all.narrow(0, 0, sequence.length());
    EXPECT_TRUE(at::allclose(own, expected.position_cross_entropy, 1e-6, 1e-6));
    EXPECT_EQ(all.narrow(0, sequence.length(), all.size(0) - sequence.length()).abs().sum().item<float>(), 0);
    expected.objective.sum().backward();
    computed.objective.sum().backward();
    for (std::size_t i = 0; i < plain.parameters().all().size(); ++i) {
      const nn::Parameter &one = plain.parameters().all()[i], &other = fixed.parameters().all()[i];
      if (!one.value.grad().defined()) {
        // What no position needs has no gradient, or that of rows that weigh nothing.
        EXPECT_TRUE(!other.value.grad().defined() || other.value.grad().abs().max().item<float>() == 0)
            << one.name;
        continue;
      }
      const double size = one.value.grad().norm().item<double>();
      EXPECT_LE((one.value.grad() - other.value.grad()).norm().item<double>(), 2e-6 * size) << one.name;
    }
  }
}

TEST_P(BatchCapacityTest, ABatchThatTakesMoreIsLaidOutAsWithoutIt) {
  const Transformer model(config(), vocabulary_, small_layout(), 5, small_codebooks());
  const sequence::PackedSequence sequence = batch(2, vocabulary_);
  const BatchCapacity capacity = model.needs(batch(1, vocabulary_)).with_room(0.1, 512);
  EXPECT_THAT(capacity.lack_for(model.needs(sequence)), testing::HasSubstr("room for 0 losses of shape"));
  PrepareOptions options{.task_count = 2};
  options.capacity = std::make_shared<const BatchCapacity>(capacity);
  const PreparedBatch batch = model.prepare(sequence, options);
  EXPECT_FALSE(batch.fills_capacity());
  EXPECT_TRUE(batch.has_shape_of(model.prepare(sequence, {.task_count = 2})));
}

TEST(BatchCapacity, RoomIsInWholeMultiples) {
  BatchCapacity needs;
  needs.rows = {900, 0};
  needs.codes = {0, 300};
  needs.groups = {{1, {}, 200}, {2, {}, 1000}};
  const BatchCapacity room = needs.with_room(0.5, 1024);
  EXPECT_EQ(room.rows[0], 1152);                            // a position stays to be filled
  EXPECT_THAT(room.codes, testing::ElementsAre(128, 512));  // 450 of them
  EXPECT_EQ(room.groups[0].rows, 384);                      // 300
  EXPECT_EQ(room.groups[1].rows, 1024);                     // never more than there are positions
  EXPECT_EQ(room.loss_rows(), 1408);
  needs.rows = {1024, 0};
  EXPECT_EQ(needs.with_room(0.5, 1024).rows[0], 1152);
  needs.codes = {};  // nothing is put there
  EXPECT_EQ(needs.with_room(0.5, 1024).rows[0], 1024);
  needs.features = {1};
  EXPECT_EQ(needs.with_room(0.5, 1024).rows[0], 1152);
  needs.rows = {100, 256};
  needs.two_streams = true;
  const BatchCapacity two = needs.with_room(0.5, 1024);
  EXPECT_EQ(two.rows[0], 256);  // 151
  EXPECT_EQ(two.rows[1], 512);  // 385
}

TEST(BatchCapacity, WhatLacksIsToldWithNumbers) {
  BatchCapacity room;
  room.rows = {256, 0};
  room.codes = {128};
  BatchCapacity needs;
  needs.rows = {200, 0};
  needs.codes = {128};
  EXPECT_EQ(room.lack_for(needs), "");
  needs.codes = {129};
  EXPECT_EQ(room.lack_for(needs), "room for 128 codes of range 0, not for 129");
  needs.codes = {100};
  needs.rows = {256, 0};  // nothing is left for the codes' place
  EXPECT_EQ(room.lack_for(needs), "room for 255 positions in all, not for 256");
  needs.rows = {300, 0};
  EXPECT_EQ(room.lack_for(needs), "room for 256 positions of stream 0, not for 300");
}

}  // namespace
}  // namespace omni::model
