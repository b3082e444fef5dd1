#include "omni/model/transformer.h"

#include <ATen/core/grad_mode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "omni/core/error.h"
#include "omni/model/decode_session.h"
#include "small_world.h"
#include "transformer_network.h"

namespace omni::model {
namespace {

std::vector<TransformerConfig> all_configs() {
  TransformerConfig grouped = small_config(), split = small_config(), wide_head = small_config();
  grouped.key_value_heads = 2;
  grouped.tied_embeddings = false;
  split.rope_split = {8, 4, 4};
  wide_head.heads = 8;  // head size 8: no kernel, tensor operations
  wide_head.query_key_norm = false;
  wide_head.slot_embedding = false;
  TransformerConfig own_head_size = two_stream_config("generated");
  own_head_size.head_size = 32;  // four heads of 32 at width 64
  own_head_size.key_value_heads = 2;
  return {small_config(), grouped, split, wide_head, two_stream_config("all"), two_stream_config("generated"),
          own_head_size};
}

class EveryTransformer : public testing::TestWithParam<std::size_t> {
 protected:
  EveryTransformer()
      : vocabulary(small_vocabulary()),
        model(all_configs()[GetParam()], vocabulary, small_layout(), 5, small_codebooks()) {}
  sequence::Vocabulary vocabulary;
  Transformer model;
};
INSTANTIATE_TEST_SUITE_P(Configs, EveryTransformer, testing::Range<std::size_t>(0, 7));

TEST_P(EveryTransformer, PackedDocumentsEqualSingleOnes) {
  expect_packed_equals_single(model, {random_document(1), random_document(2), random_document(3)});
}

TEST_P(EveryTransformer, EveryAttentionPathGivesTheSameLogits) {
  const sequence::PackedSequence sequence = packed({random_document(1), random_document(2)}, vocabulary);
  const at::Tensor automatic = model.logits(sequence);
  for (const char* path : {"library", "reference"}) {
    model.set_attention_path(kernels::parse_attention_path(path));
    EXPECT_LT(largest_difference(model.logits(sequence), automatic), 1e-4) << path;
  }
}

TEST_P(EveryTransformer, LaterTokensChangeNoEarlierLogit) {
  sequence::PackedSequence sequence = packed({random_document(1)}, vocabulary);
  const at::Tensor before = model.logits(sequence);
  const std::int64_t changed = sequence.length() - 4;
  sequence.tokens[changed] = vocabulary.range("colour").first +
                             (sequence.tokens[changed] == vocabulary.range("colour").first ? 1 : 0);
  const at::Tensor after = model.logits(sequence);
  EXPECT_TRUE(before.narrow(0, 0, changed).equal(after.narrow(0, 0, changed)));
  EXPECT_GT(largest_difference(before[changed], after[changed]), 1e-3);
}

// Logits through a cache against those without one: the largest difference, and the root mean square of all
// differences as a share of the logits' own.
struct CachedLogits {
  double worst = 0, share = 0;
};
CachedLogits compare_cached_logits(const Transformer& model, const sequence::Vocabulary& vocabulary,
                                   const DecodePrecision& precision) {
  // Two sequences of different lengths, the first in pieces of uneven size, interleaved with the second.
  const std::vector<sequence::Document> documents = {random_document(4), random_document(5)};
  std::vector<std::vector<DecodeToken>> tokens;
  std::vector<sequence::PackedSequence> sequences;
  for (const sequence::Document& document : documents) {
    sequences.push_back(packed({document}, vocabulary));
    tokens.push_back(decode_tokens(model, document));
  }
  DecodeSession session(model, 2, 64, precision);
  double worst = 0, squares = 0, total = 0;
  std::vector<std::size_t> done = {0, 0};
  for (std::size_t step = 0; done[0] < tokens[0].size() || done[1] < tokens[1].size(); ++step) {
    std::vector<std::vector<DecodeToken>> pieces(2);
    for (std::size_t d = 0; d < 2; ++d) {
      const std::size_t count = d == 0 ? (step == 0 ? 7 : step % 3) : (step % 2 == 0 ? 1 : 2);
      while (pieces[d].size() < count && done[d] < tokens[d].size())
        pieces[d].push_back(tokens[d][done[d]++]);
    }
    session.append(pieces);
    for (std::int64_t d = 0; d < 2; ++d) {
      if (done[d] == 0) continue;
      const std::int64_t position = static_cast<std::int64_t>(done[d]) - 1;
      EXPECT_EQ(session.length(d), position + 1);
      const std::int32_t set = sequences[d].allowed[position];
      if (set < 0) continue;
      const sequence::AllowedTokens& allowed = sequences[d].allowed_sets[set];
      if (allowed.count() == 1) continue;
      if (model.config().single_over == "generated" &&
          sequences[d].streams[position] == sequence::Modality::text)
        continue;
      const std::vector<std::int64_t> which = {d};
      const auto rows = session.logits(which, std::vector<sequence::AllowedTokens>{allowed});
      const at::Tensor full = model.logits(sequences[d])[position];
      EXPECT_EQ(static_cast<std::int32_t>(rows[0].size()), allowed.count());
      for (std::int32_t i = 0; i < allowed.count(); ++i) {
        const double exact = full[allowed.token(i)].item<double>(), difference = rows[0][i] - exact;
        worst = std::max(worst, std::abs(difference));
        squares += difference * difference;
        total += exact * exact;
      }
    }
  }
  return {worst, std::sqrt(squares / total)};
}

TEST_P(EveryTransformer, CachedDecodingEqualsFullRecomputation) {
  EXPECT_LT(compare_cached_logits(model, vocabulary, {}).worst, 1e-4);
  // Keys, values and weights of attention are rounded to 2^-9 of themselves, or to 1 / 254 of a row's
  // largest.
  EXPECT_LT(compare_cached_logits(model, vocabulary, {.cache = kernels::CacheType::bf16}).share, 1.0 / 64);
  EXPECT_LT(compare_cached_logits(model, vocabulary, {.cache = kernels::CacheType::int8}).share, 1.0 / 32);
  EXPECT_LT(compare_cached_logits(model, vocabulary, parse_decode_precision("bf16")).share, 1.0 / 32);
  EXPECT_LT(compare_cached_logits(model, vocabulary, parse_decode_precision("int8")).share, 1.0 / 16);
}

TEST_P(EveryTransformer, GradientsMatchFiniteDifferences) {
  const bool text_loss = model.config().single_over == "all";
  const sequence::PackedSequence sequence =
      packed({random_document(1, text_loss), random_document(2, text_loss)}, vocabulary);
  const auto objective = [&] {
    return model.loss(model.prepare(sequence), {.z_loss = 0.01}).objective.sum();
  };
  model.parameters().zero_gradients();
  objective().backward();
  CounterRng rng(3);
  for (const nn::Parameter& parameter : model.parameters().all()) {
    if (!parameter.trainable) continue;
    ASSERT_TRUE(parameter.value.grad().defined()) << parameter.name;
    // Along the gradient the slope is its norm: one number checks all entries of a parameter.
    const at::Tensor gradient = parameter.value.grad().clone();
    const double norm = gradient.norm().item<double>();
    if (norm < 1e-3) continue;
    const double step = 3e-3;
    const auto moved = [&](double by) {
      const c10::NoGradGuard guard;
      at::Tensor value = parameter.value;
      value.add_(gradient, by / norm);
      const double result = objective().item<double>();
      value.sub_(gradient, by / norm);
      return result;
    };
    const double slope = (moved(step) - moved(-step)) / (2 * step);
    EXPECT_NEAR(slope / norm, 1.0, 0.03) << parameter.name << " norm " << norm;
  }
}

TEST_P(EveryTransformer, HalfPrecisionIsClose) {
  const bool text_loss = model.config().single_over == "all";
  const sequence::PackedSequence sequence =
      packed({random_document(1, text_loss), random_document(2, text_loss)}, vocabulary);
  const PreparedBatch batch = model.prepare(sequence);
  const at::Tensor exact = model.loss(batch).objective.detach();
  model.set_activation_type(at::kBFloat16);
  const at::Tensor rounded = model.loss(batch).objective.detach();
  EXPECT_TRUE(at::allclose(rounded, exact, 0.05, 0.1)) << exact << rounded;
}

TEST_P(EveryTransformer, RecomputingGivesTheSameGradients) {
  const bool text_loss = model.config().single_over == "all";
  const sequence::PackedSequence sequence =
      packed({random_document(1, text_loss), random_document(2, text_loss)}, vocabulary);
  const auto objective_of = [&](const nn::Recomputation& recomputation) {
    model.parameters().zero_gradients();
    model.set_recompute(recomputation);
    const at::Tensor objective = model.loss(model.prepare(sequence)).objective;
    objective.sum().backward();
    return objective.detach();
  };
  std::vector<at::Tensor> kept;
  const at::Tensor expected = objective_of(false);
  for (const auto& p : model.parameters().all())
    kept.push_back(p.value.grad().defined() ? p.value.grad().clone() : at::Tensor());
  const nn::Recomputation kinds[] = {
      true, {2, false, false}, {0, true, false}, {0, false, true}, {2, true, true}};
  for (const nn::Recomputation& kind : kinds) {
    const std::string name = concat(kind.every, kind.swiglu, kind.norms, ' ');
    EXPECT_TRUE(at::allclose(objective_of(kind), expected, 1e-6, 1e-6)) << name;
    for (std::size_t i = 0; i < kept.size(); ++i) {
      const nn::Parameter& p = model.parameters().all()[i];
      if (!p.trainable) continue;
      ASSERT_TRUE(p.value.grad().defined()) << name << p.name;
      EXPECT_TRUE(at::allclose(p.value.grad(), kept[i], 1e-4, 1e-5)) << name << p.name;
    }
  }
}

TEST_P(EveryTransformer, RecomputingPartsInBf16GivesTheSameGradients) {
  const bool text_loss = model.config().single_over == "all";
  const sequence::PackedSequence sequence =
      packed({random_document(1, text_loss), random_document(2, text_loss)}, vocabulary);
  model.set_activation_type(at::kBFloat16);
  const auto gradients = [&](const nn::Recomputation& recomputation) {
    model.parameters().zero_gradients();
    model.set_recompute(recomputation);
    model.loss(model.prepare(sequence)).objective.sum().backward();
    std::vector<at::Tensor> all;
    for (const nn::Parameter& p : model.parameters().all())
      if (p.value.grad().defined()) all.push_back(p.value.grad().clone());
    return all;
  };
  const std::vector<at::Tensor> expected = gradients(false), got = gradients({0, true, true});
  ASSERT_EQ(got.size(), expected.size());
  for (std::size_t i = 0; i < got.size(); ++i)
    EXPECT_LE((got[i] - expected[i]).norm().item<double>(), 0.02 * expected[i].norm().item<double>() + 1e-6)
        << i;
}

// Only parameters move to another device with the model.
TEST_P(EveryTransformer, TheBlocksHoldNoTensorsButParameters) {
  const auto is_parameter = [&](const at::Tensor& tensor) {
    const auto& all = model.parameters().all();
    return std::any_of(all.begin(), all.end(), [&](const auto& p) { return p.value.is_same(tensor); });
  };
  std::size_t seen = 0;
  for (const auto* blocks : {&model.network().dual_blocks, &model.network().single_blocks})
    for (const nn::DecoderBlock& block : *blocks)
      for (const nn::StreamLayers& layers : block.streams) {
        std::vector<at::Tensor> held = {layers.attention_norm, layers.mlp_norm, layers.query_norm,
                                        layers.key_norm};
        for (const nn::CastLinear* linear :
             {&layers.qkv, &layers.attention_out, &layers.gate_up, &layers.down}) {
          held.push_back(linear->bias);
          held.push_back(linear->weight.weight());
        }
        for (const at::Tensor& tensor : held) {
          if (!tensor.defined()) continue;
          ++seen;
          EXPECT_TRUE(is_parameter(tensor)) << tensor.sizes();
        }
      }
  EXPECT_GT(seen, 8u);
}

TEST_P(EveryTransformer, RecomputingDropsTheSameElements) {
  TransformerConfig config = model.config();
  config.dropout = 0.3;
  Transformer dropping(config, vocabulary, small_layout(), 5, small_codebooks());
  const bool text_loss = config.single_over == "all";
  const sequence::PackedSequence sequence =
      packed({random_document(1, text_loss), random_document(2, text_loss)}, vocabulary);
  const auto gradients = [&](bool recompute, std::uint64_t seed) {
    dropping.parameters().zero_gradients();
    dropping.set_recompute(recompute);
    dropping.loss(dropping.prepare(sequence), {.dropout_seed = seed}).objective.sum().backward();
    std::vector<at::Tensor> all;
    for (const auto& p : dropping.parameters().all())
      if (p.trainable) all.push_back(p.value.grad().clone().flatten());
    return at::concat(all);
  };
  const at::Tensor kept = gradients(false, 9);
  EXPECT_TRUE(at::allclose(gradients(true, 9), kept, 1e-4, 1e-5));
  EXPECT_GT(largest_difference(gradients(false, 10), kept), 1e-2);
  const at::Tensor all = dropping.loss(dropping.prepare(sequence), {.training = false}).objective;
  EXPECT_TRUE(all.equal(model.loss(model.prepare(sequence)).objective));
}

TEST(TransformerLoss, IsTheCrossEntropyOverAllowedTokens) {
  const auto vocabulary = small_vocabulary();
  const Transformer model(small_config(), vocabulary, small_layout(), 5);
  sequence::PackedSequence sequence = packed({random_document(1), random_document(2)}, vocabulary);
  const at::Tensor logits = model.logits(sequence);
  sequence.document_tasks = {1, 0};
  const PreparedBatch batch = model.prepare(sequence, {.task_count = 2});
  const TransformerLoss loss = model.loss(batch);
  const LossSums computed = LossSums::read(loss.sums);
  std::array<double, sequence::kModalityCount> sums{}, weights{};
  std::array<double, 2> task_sums{}, task_weights{};
  std::array<std::int64_t, sequence::kModalityCount> correct{};
  for (std::int64_t i = 0; i < sequence.length(); ++i) {
    if (sequence.loss_weights[i] == 0) continue;
    const auto& allowed = sequence.allowed_sets[sequence.allowed[i]];
    std::vector<float> row;
    for (std::int32_t k = 0; k < allowed.count(); ++k)
      row.push_back(logits[i][allowed.token(k)].item<float>());
    const at::Tensor log_probability = at::tensor(row).log_softmax(0);
    const std::int32_t target = allowed.index_of(sequence.targets[i]);
    const auto m = static_cast<std::size_t>(sequence.target_modalities[i]);
    const double entropy = -log_probability[target].item<double>();
    sums[m] += entropy;
    weights[m] += 1;
    const std::size_t task = i < sequence.document_starts[1] ? 1 : 0;
    task_sums[task] += entropy;
    task_weights[task] += 1;
    correct[m] += log_probability.argmax().item<std::int64_t>() == target;
    EXPECT_NEAR(loss.position_cross_entropy[i].item<double>(), entropy, 1e-4);
  }
  for (std::size_t m = 0; m < sequence::kModalityCount; ++m) {
    EXPECT_NEAR(loss.objective[m].item<double>(), sums[m], 1e-3);
    EXPECT_NEAR(computed.cross_entropy[m], sums[m], 1e-3);
    EXPECT_EQ(batch.counts().weights[m], weights[m]);
    EXPECT_EQ(static_cast<double>(batch.counts().targets[m]), weights[m]);
    EXPECT_EQ(computed.correct[m], correct[m]);
    EXPECT_GT(weights[m], 0);
  }
  for (std::size_t t = 0; t < 2; ++t) {
    EXPECT_NEAR(computed.task_cross_entropy[t], task_sums[t], 1e-3);
    EXPECT_EQ(batch.counts().task_weights[t], task_weights[t]);
  }
  EXPECT_THAT(
      batch.counts().task_tokens,
      testing::ElementsAre(sequence.length() - sequence.document_starts[1], sequence.document_starts[1]));
  EXPECT_EQ(batch.counts().tokens, sequence.length());
}

TEST(TransformerLoss, FullSoftmaxCompetesWithTheWholeVocabulary) {
  const auto vocabulary = small_vocabulary();
  const Transformer model(small_config(), vocabulary, small_layout(), 5);
  const sequence::PackedSequence sequence = packed({random_document(1), random_document(2)}, vocabulary);
  const at::Tensor log_probability = model.logits(sequence).log_softmax(1);
  const TransformerLoss loss =
      model.loss(model.prepare(sequence, {.full_softmax = true}), {.training = false});
  for (std::int64_t i = 0; i < sequence.length(); ++i) {
    const double expected =
        sequence.loss_weights[i] == 0 ? 0 : -log_probability[i][sequence.targets[i]].item<double>();
    EXPECT_NEAR(loss.position_cross_entropy[i].item<double>(), expected, 1e-4) << i;
  }
}

TEST(TransformerLoss, ZLossIsTheSquareOfEachPositionsOwnNormaliser) {
  const auto vocabulary = small_vocabulary();
  const Transformer model(small_config(), vocabulary, small_layout(), 5);
  const sequence::PackedSequence sequence = packed({random_document(1), random_document(2)}, vocabulary);
  const at::Tensor logits = model.logits(sequence);
  std::array<double, sequence::kModalityCount> squares{};
  for (std::int64_t i = 0; i < sequence.length(); ++i) {
    if (sequence.loss_weights[i] == 0) continue;
    const auto& allowed = sequence.allowed_sets[sequence.allowed[i]];
    std::vector<float> row;
    for (std::int32_t k = 0; k < allowed.count(); ++k)
      row.push_back(logits[i][allowed.token(k)].item<float>());
    const double normaliser = at::tensor(row).logsumexp(0).item<double>();
    squares[static_cast<std::size_t>(sequence.target_modalities[i])] += normaliser * normaliser;
  }
  const TransformerLoss plain = model.loss(model.prepare(sequence), {.z_loss = 0, .training = false});
  const TransformerLoss with = model.loss(model.prepare(sequence), {.z_loss = 0.5, .training = false});
  for (std::size_t m = 0; m < sequence::kModalityCount; ++m) {
    const double added = with.objective[m].item<double>() - plain.objective[m].item<double>();
    EXPECT_NEAR(added, 0.5 * squares[m], 1e-3 * (1 + squares[m])) << m;
  }
  EXPECT_TRUE(with.sums.equal(plain.sums));
}

TEST(TransformerLoss, WeighsTheObjectivesOfModalities) {
  const auto vocabulary = small_vocabulary();
  const Transformer model(small_config(), vocabulary, small_layout(), 5);
  const PreparedBatch batch = model.prepare(packed({random_document(1), random_document(2)}, vocabulary));
  const TransformerLoss plain = model.loss(batch),
                        weighted = model.loss(batch, {.modality_weights = {0.5, 0, 3}});
  const at::Tensor expected = plain.objective * at::tensor({0.5, 0.0, 3.0}, at::kFloat);
  EXPECT_LT(largest_difference(weighted.objective, expected), 1e-4);
  EXPECT_TRUE(weighted.sums.equal(plain.sums));
}

// What a rank computes that has no documents in a step.
TEST_P(EveryTransformer, NothingToLearnGivesZeroGradients) {
  sequence::PackedSequence weightless = packed({random_document(1)}, vocabulary);
  std::fill(weightless.loss_weights.begin(), weightless.loss_weights.end(), 0.0f);
  for (const bool recompute : {false, true}) {
    model.set_recompute(recompute);
    for (const sequence::PackedSequence& sequence : {weightless, sequence::PackedSequence{}}) {
      model.parameters().zero_gradients();
      const TransformerLoss loss = model.loss(model.prepare(sequence, {.task_count = 1}));
      loss.objective.sum().backward();
      EXPECT_EQ(loss.objective.abs().max().item<float>(), 0);
      EXPECT_EQ(loss.sums.sizes(), at::IntArrayRef({7}));
      EXPECT_EQ(loss.sums.abs().max().item<double>(), 0);
      for (const nn::Parameter& parameter : model.parameters().all()) {
        const at::Tensor& gradient = parameter.value.grad();
        if (!parameter.trainable || parameter.name == "head.weight") continue;
        ASSERT_TRUE(gradient.defined()) << parameter.name;
        EXPECT_EQ(gradient.abs().max().item<float>(), 0) << parameter.name;
      }
    }
  }
}

// The blocks learn though nothing before them does.
TEST_P(EveryTransformer, FrozenEmbeddingsLeaveTheBlocksTheirGradients) {
  const bool text_loss = model.config().single_over == "all";
  const PreparedBatch batch =
      model.prepare(packed({random_document(1, text_loss), random_document(2, text_loss)}, vocabulary));
  const auto gradients = [&](bool recompute) {
    model.parameters().zero_gradients();
    model.set_recompute(recompute);
    model.loss(batch).objective.sum().backward();
    std::map<std::string, at::Tensor> all;
    for (const nn::Parameter& parameter : model.parameters().all())
      if (parameter.value.requires_grad()) all[parameter.name] = parameter.value.grad();
    return all;
  };
  const auto free = gradients(false);
  for (const nn::Parameter& parameter : model.parameters().all())
    if (parameter.name.find("blocks.") == std::string::npos)
      at::Tensor(parameter.value).set_requires_grad(false);
  for (const bool recompute : {false, true}) {
    const auto frozen = gradients(recompute);
    EXPECT_LT(frozen.size(), free.size());
    for (const auto& [name, gradient] : frozen) {
      ASSERT_TRUE(gradient.defined()) << name;
      EXPECT_TRUE(at::allclose(gradient, free.at(name), 1e-4, 1e-5)) << name;
    }
  }
}

TEST(Transformer, RotationsDependOnDistancesAlone) {
  // Without slot embeddings, shifting every position by a constant changes nothing.
  TransformerConfig config = small_config();
  config.slot_embedding = false;
  config.rope_split = {8, 4, 4};
  const auto vocabulary = small_vocabulary();
  const Transformer model(config, vocabulary, small_layout(), 5);
  sequence::PackedSequence sequence = packed({random_document(1)}, vocabulary);
  const at::Tensor before = model.logits(sequence);
  for (auto& x : sequence.offsets) x += 37;
  for (auto& x : sequence.rows) x += 5;
  for (auto& x : sequence.columns) x += 11;
  EXPECT_LT(largest_difference(model.logits(sequence), before), 2e-4);
  sequence.offsets.back() += 3;
  EXPECT_GT(largest_difference(model.logits(sequence), before), 1e-3);
}

TEST(Transformer, GroupedQueriesEqualRepeatedHeads) {
  const auto vocabulary = small_vocabulary();
  TransformerConfig grouped = small_config(), full = small_config();
  grouped.key_value_heads = 2;
  const Transformer a(grouped, vocabulary, small_layout(), 5);
  Transformer b(full, vocabulary, small_layout(), 5);
  const c10::NoGradGuard guard;
  for (const auto& target : b.parameters().all()) {
    const at::Tensor source = a.parameters().find(target.name)->value;
    at::Tensor value = target.value;
    if (target.name.find("qkv") == std::string::npos) {
      value.copy_(source);
      continue;
    }
    const auto repeated = [&](std::int64_t first) {
      return source.narrow(0, first, 32).view({2, 16, 64}).repeat_interleave(2, 0).reshape({64, 64});
    };
    value.copy_(at::concat({source.narrow(0, 0, 64), repeated(64), repeated(96)}));
  }
  const auto sequence = packed({random_document(1), random_document(2)}, vocabulary);
  EXPECT_LT(largest_difference(a.logits(sequence), b.logits(sequence)), 1e-4);
}

TEST(Transformer, FoldingCodebooksKeepsTheFunction) {
  const auto vocabulary = small_vocabulary();
  Transformer model(small_config(), vocabulary, small_layout(), 5, small_codebooks());
  const auto sequence = packed({random_document(1)}, vocabulary);
  const at::Tensor before = model.logits(sequence);
  EXPECT_TRUE(model.has_codebooks());
  model.fold_codebooks();
  EXPECT_FALSE(model.has_codebooks());
  EXPECT_FALSE(model.config().codebook_embedding);
  EXPECT_EQ(model.parameters().find("codebook_projection.image"), nullptr);
  EXPECT_LT(largest_difference(model.logits(sequence), before), 1e-5);
}

TEST(Transformer, GrowingTheVocabularyKeepsOldRowsBitForBit) {
  const auto vocabulary = small_vocabulary();
  sequence::Vocabulary larger = vocabulary;
  sequence::append_views(larger, {geometry::kAzimuthBins, geometry::kElevationBins});
  const Transformer model(small_config(), vocabulary, small_layout(), 5, small_codebooks());
  const auto grown = grow_vocabulary(model, larger, 1, 0.1);
  const at::Tensor old_rows = model.parameters().find("embedding.weight")->value;
  const at::Tensor rows = grown->parameters().find("embedding.weight")->value;
  ASSERT_EQ(rows.size(0), larger.size());
  EXPECT_TRUE(rows.narrow(0, 0, vocabulary.size()).equal(old_rows));
  const at::Tensor any = old_rows[sequence::kAny];
  for (std::int64_t i = vocabulary.size(); i < larger.size(); ++i) {
    const double distance = ((rows[i] - any).norm() / any.norm()).item<double>();
    EXPECT_GT(distance, 0.03);
    EXPECT_LT(distance, 0.3);
  }
  const auto sequence = packed({random_document(1)}, vocabulary);
  EXPECT_TRUE(
      grown->logits(sequence).narrow(1, 0, vocabulary.size()).allclose(model.logits(sequence), 1e-5, 1e-5));
  EXPECT_THROW(grow_vocabulary(*grown, vocabulary, 1), Error);
}

TEST(Transformer, TextTasksAreRefusedWithoutTextOutput) {
  sequence::Task task = sequence::built_in_task("image->text");
  EXPECT_NO_THROW(check_task(two_stream_config("all"), task));
  EXPECT_THROW(check_task(two_stream_config("generated"), task), Error);
  EXPECT_NO_THROW(check_task(two_stream_config("generated"), sequence::built_in_task("text->shape")));
  const auto vocabulary = small_vocabulary();
  const Transformer model(two_stream_config("generated"), vocabulary, small_layout(), 5);
  EXPECT_THROW(model.prepare(packed({random_document(1)}, vocabulary)), Error);
}

TEST(TransformerConfig, ImpossibleSizesAreRefused) {
  const auto refused = [](const std::function<void(TransformerConfig&)>& change) {
    TransformerConfig config = small_config();
    change(config);
    try {
      validate(config);
    } catch (const Error& error) {
      return error.kind() == ErrorKind::usage;
    }
    return false;
  };
  EXPECT_TRUE(refused([](auto& c) { c.heads = 5; }));
  EXPECT_TRUE(refused([](auto& c) { c.heads = 64; }));
  EXPECT_TRUE(refused([](auto& c) { c.key_value_heads = 3; }));
  EXPECT_TRUE(refused([](auto& c) { c.single_blocks = 0; }));
  EXPECT_TRUE(refused([](auto& c) { c.dual_blocks = 1; }));
  EXPECT_TRUE(refused([](auto& c) { c.single_over = "generated"; }));
  EXPECT_TRUE(refused([](auto& c) { c.streams = 2; }));
  EXPECT_TRUE(refused([](auto& c) { c.rope_split = {8, 4, 2}; }));
  EXPECT_TRUE(refused([](auto& c) { c.rope_split = {7, 5, 4}; }));
  EXPECT_TRUE(refused([](auto& c) { c.head_size = 15; }));
  EXPECT_FALSE(refused([](auto& c) { c.heads = 5, c.head_size = 16; }));
  EXPECT_FALSE(refused([](auto&) {}));
}

TEST(TransformerConfig, HeadsMayBeWiderThanTheirShareOfTheWidth) {
  // The sizes of Qwen3-0.6B (arXiv 2505.09388): config.json and the shapes of its file.
  TransformerConfig config;
  config.width = 1024;
  config.single_blocks = 1;
  config.heads = 16;
  config.head_size = 128;
  config.key_value_heads = 8;
  config.mlp_multiplier = 3;
  config.rope_theta = 1e6;
  validate(config);
  const Transformer model(config, small_vocabulary(), small_layout());
  const auto shape = [&](const char* name) {
    return model.parameters().find(concat("single_blocks.0.", name))->value.sizes();
  };
  EXPECT_EQ(shape("qkv.weight"), at::IntArrayRef({2048 + 1024 + 1024, 1024}));  // q_proj, k_proj, v_proj
  EXPECT_EQ(shape("attention_out.weight"), at::IntArrayRef({1024, 2048}));      // o_proj
  EXPECT_EQ(shape("query_norm.weight"), at::IntArrayRef({128}));
  EXPECT_EQ(shape("key_norm.weight"), at::IntArrayRef({128}));
  EXPECT_EQ(shape("gate_up.weight"), at::IntArrayRef({2 * 3072, 1024}));
}

TEST(TransformerConfig, AHeadSizeIsWrittenWhereItIsGiven) {
  const auto yaml = [](TransformerConfig config) {
    return config_to_yaml([&](ConfigVisitor& visitor) { describe(visitor, config); });
  };
  TransformerConfig config = small_config();
  EXPECT_EQ(yaml(config).find("head_size"), std::string::npos);
  config.head_size = 32;
  TransformerConfig read;
  ConfigFile::parse(yaml(config), "model").read([&](ConfigVisitor& visitor) { describe(visitor, read); });
  EXPECT_EQ(read.head_size, 32);
  EXPECT_EQ(yaml(read), yaml(config));
}

TEST(DecodeSession, CopiesAndClearsSequences) {
  const auto vocabulary = small_vocabulary();
  const Transformer model(small_config(), vocabulary, small_layout(), 5);
  const auto document = random_document(4);
  std::vector<std::vector<DecodeToken>> tokens(3);
  tokens[1] = decode_tokens(model, document);
  tokens[1].resize(6);
  DecodeSession session(model, 3, 6);
  session.append(tokens);
  session.copy_sequence(1, 2);
  EXPECT_EQ(session.length(2), 6);
  sequence::AllowedTokens allowed;
  allowed.runs[0] = {0, 10};
  allowed.run_count = 1;
  const std::vector<std::int64_t> which = {1, 2};
  const auto rows = session.logits(which, std::vector<sequence::AllowedTokens>{allowed, allowed});
  EXPECT_EQ(rows[0], rows[1]);
  EXPECT_THROW(session.append(tokens), Error);
  session.clear_sequence(1);
  EXPECT_EQ(session.length(1), 0);
}

}  // namespace
}  // namespace omni::model
