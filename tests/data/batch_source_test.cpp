#include "omni/data/batch_source.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <set>
#include <thread>

#include "document_builder.h"
#include "omni/core/error.h"
#include "omni/data/edit_pairs.h"
#include "omni/data/prefetch_loader.h"
#include "temporary_directory.h"
#include "token_fixtures.h"

namespace omni::data {
namespace {

using namespace testing;
using sequence::Modality;

class BatchSourceTest : public ::testing::Test {
 protected:
  static std::vector<BatchSource::WeightedTask> tasks() {
    return {{sequence::built_in_task("text->shape"), 5},
            {sequence::built_in_task("text->image"), 2},
            {sequence::built_in_task("image@view->image@view"), 1},
            {sequence::built_in_task("text->image->shape->image@view"), 2}};
  }
  static BatchOptions options() { return {.seed = 3, .tokens_per_batch = 400, .batches_per_step = 2}; }
  BatchSource source(BatchOptions options, std::vector<BatchSource::WeightedTask> tasks) const {
    return BatchSource(dataset_, std::move(tasks), small_layout(), small_vocabulary(), std::move(options));
  }

  test::TemporaryDirectory folder_;
  std::shared_ptr<const TokenDataset> dataset_ = make_dataset(folder_.path(), 60);
};

TEST_F(BatchSourceTest, ABatchIsAFunctionOfStepAndMicroStep) {
  const BatchSource a = source(options(), tasks()), b = source(options(), tasks());
  std::vector<sequence::PackedSequence> forward;
  for (std::int64_t i = 0; i < 20; ++i) forward.push_back(a.batch(i / 2, i % 2));
  for (std::int64_t i = 19; i >= 0; --i)
    EXPECT_EQ(b.batch(i / 2, i % 2), forward[static_cast<std::size_t>(i)]);
  std::atomic<int> differences = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (std::int64_t i = t; i < 20; i += 2) {
        if (!(a.batch(i / 2, i % 2) == forward[static_cast<std::size_t>(i)])) ++differences;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(differences, 0);
  EXPECT_NE(forward[0], forward[1]);
  BatchOptions other = options();
  other.seed = 4;
  EXPECT_NE(source(other, tasks()).batch(0, 0), forward[0]);
}

TEST_F(BatchSourceTest, CaptionsThatAreAllTooLongNameTheKey) {
  std::vector<TokenObject> objects = random_objects(small_info(), 4);
  for (TokenObject& object : objects) object.captions = {{{3, 4, 5}, CaptionKind::complete}};
  const test::TemporaryDirectory folder;
  write_token_shard(folder / "shard-00000.safetensors", small_info(), objects);
  const std::filesystem::path folders[] = {folder.path()};
  sequence::SequenceLayout layout = small_layout();
  layout.text_capacity = 2;
  try {
    BatchSource(std::make_shared<const TokenDataset>(TokenDataset::open(folders)),
                {{sequence::built_in_task("text->shape"), 1}}, layout, small_vocabulary(), options());
    ADD_FAILURE() << "accepted";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("text_capacity (2 tokens); the shortest has 3"),
              std::string::npos)
        << error.what();
  }
}

TEST_F(BatchSourceTest, DrawnViewsStayWhatTheyAre) {
  const BatchOptions drawing = options();
  const auto layout = small_layout();
  const DocumentBuilder builder(*dataset_, layout, true, drawing);
  const auto task = sequence::built_in_task("image@view->image@view");
  std::vector<int> views;  // of the three stored ones
  for (std::uint64_t seed = 0; seed < 8; ++seed) {
    const sequence::Document document = builder.build(task, {.object = 0}, CounterRng(seed));
    for (const sequence::Segment& segment : document.segments) {
      const auto& codes = std::get<sequence::ImagePayload>(segment.payload).codes;
      const auto [shard, object] = dataset_->at(0);
      for (int v = 0; v < 3; ++v)
        if (shard->view(object, v).codes == codes) views.push_back(v);
    }
  }
  EXPECT_EQ(views, (std::vector<int>{1, 2, 0, 2, 1, 0, 1, 2, 2, 1, 2, 1, 2, 1, 0, 2}));
}

// One object with two captions of each kind that shards hold, told apart by their first token.
std::shared_ptr<const TokenDataset> captioned_dataset(const std::filesystem::path& folder) {
  TokenObject object = random_object(small_info(), 0);
  object.captions.clear();
  for (const CaptionKind kind : {CaptionKind::complete, CaptionKind::partial, CaptionKind::brief})
    for (int i = 0; i < 2; ++i) object.captions.push_back({{10 * (1 + static_cast<int>(kind)) + i, 5}, kind});
  write_token_shard(folder / "shard-00000.safetensors", small_info(), std::span(&object, 1));
  const std::filesystem::path folders[] = {folder};
  return std::make_shared<const TokenDataset>(TokenDataset::open(folders));
}

// How often captions of each kind stand in a task's only text.
std::map<CaptionKind, int> kinds_drawn(const TokenDataset& dataset, const BatchOptions& options,
                                       const char* task) {
  const auto layout = small_layout();
  const DocumentBuilder builder(dataset, layout, true, options);
  std::map<CaptionKind, int> drawn;
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    const sequence::Document document =
        builder.build(sequence::built_in_task(task), {.object = 0}, CounterRng(seed));
    for (const sequence::Segment& segment : document.segments)
      if (const auto* text = std::get_if<sequence::TextPayload>(&segment.payload);
          text && !text->tokens.empty())
        ++drawn[static_cast<CaptionKind>(text->tokens[0] / 10 - 1)];
  }
  return drawn;
}

TEST_F(BatchSourceTest, BriefCaptionsAreDrawnInTheirShareAndOnlyAsConditions) {
  const test::TemporaryDirectory folder;
  const auto dataset = captioned_dataset(folder.path());
  BatchOptions drawing = options();
  drawing.complete_caption_share = 0.8;
  auto drawn = kinds_drawn(*dataset, drawing, "text->shape");
  EXPECT_EQ(drawn[CaptionKind::brief], 0);
  const int texts = drawn[CaptionKind::complete] + drawn[CaptionKind::partial];
  EXPECT_NEAR(drawn[CaptionKind::complete], 0.8 * texts, 0.08 * texts);

  drawing.brief_caption_share = 0.3;
  drawn = kinds_drawn(*dataset, drawing, "text->shape");
  EXPECT_NEAR(drawn[CaptionKind::brief], 0.3 * texts, 0.08 * texts);
  EXPECT_NEAR(drawn[CaptionKind::complete], 0.7 * 0.8 * texts, 0.08 * texts);
  EXPECT_EQ(kinds_drawn(*dataset, drawing, "shape->text")[CaptionKind::brief], 0);
}

TEST_F(BatchSourceTest, BatchesStayWithinTheirTokensAndNearlyFillThem) {
  const BatchSource batches = source(options(), tasks());
  double total = 0;
  std::int64_t documents = 0;
  for (std::int64_t step = 0; step < 200; ++step) {
    const auto batch = batches.batch(step, 1);
    EXPECT_LE(batch.length(), 400);
    total += static_cast<double>(batch.length());
    documents += batch.document_count();
  }
  EXPECT_NEAR(total / 200, batches.mean_tokens_per_batch(), 0.05 * 400);
  EXPECT_GT(static_cast<double>(documents), 0.97 * 200 * static_cast<double>(batches.documents_per_batch()));
}

TEST_F(BatchSourceTest, EveryDocumentTellsItsTask) {
  const BatchSource batches = source(options(), tasks());
  for (std::int64_t step = 0; step < 20; ++step) {
    const auto batch = batches.batch(step, 0);
    ASSERT_EQ(static_cast<std::int64_t>(batch.document_tasks.size()), batch.document_count());
    for (std::int64_t d = 0; d < batch.document_count(); ++d) {
      const std::string& name = batches.tasks().at(static_cast<std::size_t>(batch.document_tasks[d])).name;
      const auto first = batch.streams.begin() + batch.document_starts[d],
                 last = batch.streams.begin() + batch.document_starts[d + 1];
      EXPECT_EQ(std::count(first, last, Modality::image) > 0, name.find("image") != std::string::npos)
          << name;
      EXPECT_EQ(std::count(first, last, Modality::shape) > 0, name.find("shape") != std::string::npos)
          << name;
    }
  }
}

TEST_F(BatchSourceTest, InputNoiseShowsOtherTokensAndKeepsWhatIsLearnt) {
  BatchOptions noisy = options();
  noisy.input_noise = noisy.control_noise = 0.2;
  const BatchSource clean = source(options(), tasks()), wrong = source(noisy, tasks());
  std::int64_t replaced = 0, candidates = 0;
  for (std::int64_t step = 0; step < 100; ++step) {
    const auto expected = clean.batch(step, 1);
    auto got = wrong.batch(step, 1);
    for (std::size_t i = 0; i < expected.tokens.size(); ++i) {
      const bool generated =
          i > 0 && expected.loss_weights[i - 1] > 0 && expected.streams[i] != Modality::text;
      if (!generated) EXPECT_EQ(got.tokens[i], expected.tokens[i]) << i;
      candidates += generated ? 1 : 0;
      if (got.tokens[i] == expected.tokens[i]) continue;
      ++replaced;
      EXPECT_TRUE(expected.allowed_sets[expected.allowed[i - 1]].contains(got.tokens[i])) << i;
    }
    got.tokens = expected.tokens;
    EXPECT_EQ(got, expected);
  }
  // Some are replaced by an equal token, and a batch's first document has none before it.
  const double share = static_cast<double>(replaced) / static_cast<double>(candidates);
  EXPECT_GT(share, 0.08);
  EXPECT_LT(share, 0.2);
  noisy.input_noise = 0;  // controls alone
  const auto expected = clean.batch(0, 0), got = source(noisy, tasks()).batch(0, 0);
  EXPECT_NE(got.tokens, expected.tokens);
  for (std::size_t i = 0; i < got.tokens.size(); ++i)
    if (small_vocabulary().range(sequence::kRangeGeometry).contains(expected.tokens[i]))
      EXPECT_EQ(got.tokens[i], expected.tokens[i]);
  noisy.input_noise = 0.6;
  EXPECT_THROW(source(noisy, tasks()), Error);
}

TEST_F(BatchSourceTest, NoExampleRepeatsWithinAnEpoch) {
  const BatchSource batches = source(options(), tasks());
  std::map<std::size_t, std::multiset<std::int64_t>> seen;
  for (std::int64_t n = 0; n < 2000; ++n) {
    const auto draw = batches.draw(n);
    auto& objects = seen[draw.task];
    EXPECT_EQ(static_cast<std::int64_t>(objects.count(draw.object)), draw.epoch);
    objects.insert(draw.object);
  }
  for (const auto& [task, objects] : seen) {
    // 48 of the 60 objects are in the training split.
    EXPECT_EQ(batches.tasks()[task].examples, 48);
    if (objects.size() >= 48) {
      EXPECT_EQ(std::set<std::int64_t>(objects.begin(), objects.end()).size(), 48u);
    }
    for (const std::int64_t object : objects) {
      const auto place = dataset_->at(object);
      EXPECT_EQ(place.shard->split(place.object), Split::train);
    }
  }
}

TEST_F(BatchSourceTest, MixtureSharesHold) {
  const BatchSource batches = source(options(), tasks());
  std::vector<double> counts(4, 0);
  constexpr int n = 1000;
  for (std::int64_t i = 0; i < n; ++i) ++counts[batches.draw(i).task];
  const double shares[] = {0.5, 0.2, 0.1, 0.2};
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_NEAR(counts[i], n * shares[i], 5 * std::sqrt(n * shares[i] * (1 - shares[i])));
  }
}

TEST_F(BatchSourceTest, TokenUnitGivesEqualTokens) {
  BatchOptions by_tokens = options();
  by_tokens.mixture_unit = "tokens";
  const BatchSource batches = source(by_tokens, {tasks()[0], tasks()[3]});
  std::vector<double> tokens(2, 0);
  for (std::int64_t i = 0; i < 4096; ++i) {
    const auto document = sequence::document_tokens(batches.document(i), small_vocabulary(), small_layout());
    tokens[batches.draw(i).task] += static_cast<double>(document.size());
  }
  EXPECT_NEAR(tokens[0] / tokens[1], 5.0 / 2.0, 0.1);
}

TEST_F(BatchSourceTest, DocumentsShowTheirObject) {
  const BatchSource batches = source(options(), tasks());
  std::set<std::size_t> lengths;
  for (std::int64_t n = 0; n < 600; ++n) {
    const auto draw = batches.draw(n);
    const auto place = dataset_->at(draw.object);
    const TokenObject object = place.shard->object(place.object);
    std::set<std::vector<std::int32_t>> images;
    const auto document = batches.document(n);
    for (const sequence::Segment& segment : document.segments) {
      if (const auto* text = std::get_if<sequence::TextPayload>(&segment.payload)) {
        EXPECT_TRUE(std::any_of(object.captions.begin(), object.captions.end(),
                                [&](const auto& caption) { return caption.tokens == text->tokens; }));
        EXPECT_LE(text->tokens.size(), 12u);
      } else if (const auto* image = std::get_if<sequence::ImagePayload>(&segment.payload)) {
        EXPECT_TRUE(images.insert(image->codes).second) << "two segments show the same view";
        const auto view = std::find_if(object.views.begin(), object.views.end(),
                                       [&](const auto& v) { return v.codes == image->codes; });
        ASSERT_NE(view, object.views.end());
        EXPECT_EQ(image->azimuth.has_value(), image->elevation.has_value());
        if (image->azimuth) EXPECT_EQ(*image->azimuth, view->azimuth);
        if (image->elevation) EXPECT_EQ(*image->elevation, view->elevation);
      } else if (const auto* shape = std::get_if<sequence::ShapePayload>(&segment.payload)) {
        lengths.insert(shape->geometry.size());
        EXPECT_TRUE(std::equal(shape->geometry.begin(), shape->geometry.end(), object.geometry.begin()));
        EXPECT_EQ(shape->colour, object.colour);
        if (shape->size) {
          EXPECT_EQ(*shape->size, object.size);
          EXPECT_EQ(shape->box[1], object.box[1]);
        }
      }
    }
  }
  EXPECT_EQ(lengths, (std::set<std::size_t>{4, 8}));
}

TEST_F(BatchSourceTest, CompleteCaptionsFollowTheirShare) {
  BatchOptions all_complete = options();
  all_complete.complete_caption_share = 1;
  const BatchSource batches = source(all_complete, {tasks()[0]});
  for (std::int64_t n = 0; n < 200; ++n) {
    const auto place = dataset_->at(batches.draw(n).object);
    const TokenObject object = place.shard->object(place.object);
    const auto document = batches.document(n);
    const auto& text = std::get<sequence::TextPayload>(document.segments[0].payload);
    bool offered = false, chosen = false;
    for (const auto& caption : object.captions) {
      const bool fits = caption.kind == CaptionKind::complete && caption.tokens.size() <= 12;
      offered = offered || fits;
      chosen = chosen || (fits && caption.tokens == text.tokens);
    }
    EXPECT_EQ(chosen, offered);
  }
}

TEST_F(BatchSourceTest, RejectsWhatCannotBeServed) {
  const auto kind_of = [&](auto body) {
    try {
      body();
    } catch (const Error& error) {
      return error.kind();
    }
    ADD_FAILURE() << "nothing was thrown";
    return ErrorKind::internal;
  };
  EXPECT_EQ(kind_of([&] { source(options(), {}); }), ErrorKind::usage);
  EXPECT_EQ(kind_of([&] {
              source(options(), {{sequence::built_in_task("image@view*4->shape"), 1}});
            }),
            ErrorKind::usage);
  EXPECT_EQ(kind_of([&] {
              source(options(), {{sequence::built_in_task("shape+text->shape"), 1}});
            }),
            ErrorKind::usage);
  EXPECT_EQ(kind_of([&] {
              BatchOptions small = options();
              small.tokens_per_batch = 20;
              source(small, tasks());
            }),
            ErrorKind::usage);
  EXPECT_EQ(
      kind_of([&] { BatchSource(dataset_, tasks(), small_layout(), small_vocabulary(false), options()); }),
      ErrorKind::usage);
}

// Shards of pairs, as large public sets are: texts with pictures, pictures with shapes, texts with shapes.
std::shared_ptr<const TokenDataset> pairs_dataset(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> folders;
  const auto add = [&](const char* name, const TokenShardInfo& info) {
    folders.push_back(folder / name);
    std::filesystem::create_directories(folders.back());
    std::vector<TokenObject> objects = random_objects(info, 20);
    for (TokenObject& object : objects) {
      object.id = name + object.id;
      object.split = Split::train;
    }
    write_token_shard(folders.back() / "shard-00000.safetensors", info, objects);
  };
  TokenShardInfo bytes = small_info();
  bytes.tokens.text.vocabulary = 256;
  TokenShardInfo texts_pictures = bytes, pictures_shapes = bytes, texts_shapes = bytes;
  texts_pictures.tokens.shape = {};
  pictures_shapes.tokens.text = {};
  texts_shapes.tokens.image = {};
  texts_shapes.views_per_object = 0;
  add("text-image", texts_pictures);
  add("image-shape", pictures_shapes);
  add("text-shape", texts_shapes);
  return std::make_shared<const TokenDataset>(TokenDataset::open(folders));
}

TEST_F(BatchSourceTest, WhatAnIncompleteTripletLacksIsDropped) {
  const test::TemporaryDirectory folder;
  const auto pairs = pairs_dataset(folder.path());
  const std::vector<BatchSource::WeightedTask> triplets = {{sequence::built_in_task("text->image->shape"), 1},
                                                           {sequence::built_in_task("text->image"), 1}};
  BatchOptions in_part = options();
  EXPECT_THROW(BatchSource(pairs, triplets, small_layout(), small_vocabulary(), in_part), Error)
      << "no object has all three";
  in_part.incomplete_objects = true;
  const BatchSource batches(pairs, triplets, small_layout(), small_vocabulary(), in_part);
  ASSERT_EQ(batches.tasks()[0].examples, 60);
  EXPECT_EQ(batches.tasks()[1].examples, 20) << "both members of a pair are wanted";
  std::map<std::int64_t, int> kinds;  // of objects, by shard
  for (std::int64_t n = 0; n < 400; ++n) {
    const auto draw = batches.draw(n);
    if (draw.task != 0) continue;
    const std::int64_t shard = draw.object / 20;  // in the order in which they were opened
    ++kinds[shard];
    const sequence::Document document = batches.document(n);
    ASSERT_EQ(document.segments.size(), 3u);
    for (std::size_t i = 0; i < 3; ++i) {
      const sequence::Segment& segment = document.segments[i];
      const bool lacks = (shard == 0 && i == 2) || (shard == 1 && i == 0) || (shard == 2 && i == 1);
      EXPECT_EQ(segment.payload, lacks ? sequence::empty_payload(segment.modality()) : segment.payload);
      if (lacks) EXPECT_TRUE(segment.dropped && !segment.carries_loss);
      if (!lacks && i > 0) EXPECT_TRUE(segment.carries_loss && !segment.dropped);
    }
  }
  for (const std::int64_t shard : {0, 1, 2}) EXPECT_GT(kinds[shard], 30);
  // The sequences are whole: what follows a dropped picture is learnt, the picture is not.
  const auto batch = batches.batch(0, 0);
  EXPECT_GT(batch.length(), 0);
  EXPECT_GT(*std::max_element(batch.loss_weights.begin(), batch.loss_weights.end()), 0);
  (void)batches.words(tokenizers::TextTokenizer::from_merges({}));
}

TEST_F(BatchSourceTest, CompleteObjectsAreDrawnAlikeWhereIncompleteOnesMayBe) {
  BatchOptions in_part = options();
  in_part.incomplete_objects = true;
  const BatchSource all = source(in_part, tasks()), whole = source(options(), tasks());
  for (std::int64_t step = 0; step < 5; ++step) EXPECT_EQ(all.batch(step, 0), whole.batch(step, 0));
}

TEST_F(BatchSourceTest, TheRepeatCapActs) {
  BatchOptions capped = options();
  capped.repeat_cap = 2;
  const BatchSource unknown_length = source(capped, {tasks()[0]});
  EXPECT_NO_THROW(unknown_length.document(95));
  EXPECT_THROW(unknown_length.document(96), Error);  // 48 examples, shown twice
  capped.total_steps = 1000;
  EXPECT_THROW(source(capped, {tasks()[0]}), Error);
  capped.total_steps = 2;
  EXPECT_NO_THROW(source(capped, {tasks()[0]}));
}

TEST_F(BatchSourceTest, EditsJoinObjectsThatDifferInOneAttribute) {
  BatchOptions edit = options();
  edit.encode_text = [](std::string_view text) {
    std::vector<std::int32_t> tokens;
    for (std::size_t i = 0; i < std::min<std::size_t>(text.size(), 12); ++i) {
      tokens.push_back(static_cast<unsigned char>(text[i]));
    }
    return tokens;
  };
  const BatchSource batches = source(edit, {{sequence::built_in_task("shape+text->shape"), 1},
                                            {sequence::built_in_task("image+text->image"), 1}});
  EXPECT_GT(batches.tasks()[0].examples, 10);
  for (std::int64_t n = 0; n < 200; ++n) {
    const auto draw = batches.draw(n);
    const auto before = dataset_->at(draw.before), after = dataset_->at(draw.object);
    EXPECT_EQ(before.shard->class_name(before.object), after.shard->class_name(after.object));
    const auto a = before.shard->attributes(before.object), b = after.shard->attributes(after.object);
    int differences = 0;
    for (const auto& [name, value] : a) differences += b.at(name) != value;
    EXPECT_EQ(differences, 1);
    const auto document = batches.document(n);
    if (const auto* image = std::get_if<sequence::ImagePayload>(&document.segments[0].payload)) {
      const auto& target = std::get<sequence::ImagePayload>(document.segments[2].payload);
      int side = -1, target_side = -2;
      for (int v = 0; v < 3; ++v) {
        if (before.shard->view(before.object, v).codes == image->codes) side = v;
        if (after.shard->view(after.object, v).codes == target.codes) target_side = v;
      }
      if (before.shard->view_bins(before.object, side) == after.shard->view_bins(after.object, side)) {
        EXPECT_EQ(side, target_side);
      }
    }
  }
}

TEST(EditPairs, HaveNoMoreColoursThanForms) {
  const test::TemporaryDirectory folder;
  std::vector<TokenObject> objects = random_objects(small_info(), 60);
  for (std::size_t i = 0; i < objects.size(); ++i) {
    objects[i].class_name = "chair";
    objects[i].attributes = {{"colour", std::to_string(i % 10)}, {"height", i < 58 ? "low" : "high"}};
  }
  write_token_shard(folder / "shard-00000.safetensors", small_info(), objects);
  const std::filesystem::path folders[] = {folder.path()};
  const TokenDataset dataset = TokenDataset::open(folders);
  std::vector<std::int64_t> all(60);
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::int64_t>(i);
  const auto counts = [&](const std::vector<std::int64_t>& chosen) {
    int colours = 0, forms = 0;
    const EditPairs found = find_edit_pairs(dataset, chosen);
    for (const EditPair& pair : found.pairs)
      ++(found.changes[pair.change].attribute == "colour" ? colours : forms);
    return std::pair(colours, forms);
  };
  // The two high ones (colours 8 and 9) and the five low ones of each of their colours.
  EXPECT_EQ(counts(all), std::pair(4 + 10, 4 + 10));
  all.resize(58);
  EXPECT_EQ(counts(all), std::pair(2 * 58, 0)) << "all where nothing else differs";

  TokenShardInfo varied = small_info();
  varied.variation = 0.5;
  write_token_shard(folder / "shard-00000.safetensors", varied, objects);
  EXPECT_TRUE(find_edit_pairs(TokenDataset::open(folders), all).pairs.empty()) << "all sizes differ, too";
}

// Tokens are the instruction's letters.
TEST_F(BatchSourceTest, EditsAreAskedForInTheirTrainedWordings) {
  BatchOptions edit = options();
  edit.encode_text = [](std::string_view text) {
    std::vector<std::int32_t> tokens;
    for (const char c : text) tokens.push_back(static_cast<unsigned char>(c));
    return tokens;
  };
  sequence::SequenceLayout layout = small_layout();
  layout.text_capacity = 40;
  const BatchSource batches(dataset_, {{sequence::built_in_task("shape+text->shape"), 1}}, layout,
                            small_vocabulary(), edit);
  std::set<std::string> colours, heights;
  for (std::int64_t n = 0; n < 300; ++n) {
    const auto draw = batches.draw(n);
    const auto document = batches.document(n);
    EXPECT_EQ(document, batches.document(n));
    const auto& text = std::get<sequence::TextPayload>(document.segments[1].payload);
    const std::string words(text.tokens.begin(), text.tokens.end());
    const auto before = dataset_->at(draw.before), after = dataset_->at(draw.object);
    const auto a = before.shard->attributes(before.object), b = after.shard->attributes(after.object);
    const std::string changed = a.at("colour") != b.at("colour") ? "colour" : "height";
    const AttributeChange change =
        attribute_change(before.shard->class_name(before.object), a, changed, b.at(changed));
    bool is_trained = false;
    for (const Instruction& instruction : edit_instructions(change).trained)
      is_trained |= instruction.text == words;
    EXPECT_TRUE(is_trained) << words;
    (changed == "colour" ? colours : heights).insert(words);
  }
  EXPECT_GE(colours.size(), 8u);
  EXPECT_EQ(heights.size(), 3u) << "one wording of each of three values";

  const tokenizers::TextTokenizer text = tokenizers::TextTokenizer::from_merges({});
  const auto words = batches.words(text);
  ASSERT_TRUE(words.instructions());
  const auto& listed = words.instructions()->at("shape+text->shape");
  EXPECT_TRUE(listed.contains("make it {colour}"));
  EXPECT_TRUE(listed.contains("change the {part} to {value}"));
  EXPECT_TRUE(words.knows("paint") && words.knows("change"));
  std::set<std::int64_t> edited;
  for (std::int64_t n = 0; n < 2000; ++n) {
    edited.insert(batches.draw(n).before);
    edited.insert(batches.draw(n).object);
  }
  EXPECT_EQ(words.tasks().at("shape+text->shape"), static_cast<std::int64_t>(edited.size()));
  EXPECT_TRUE(words.views().empty()) << "the task takes no pictures";
  EXPECT_FALSE(words.sizes().empty());
}

TEST_F(BatchSourceTest, ThePrefetchLoaderGivesTheSameBatchesInOrder) {
  const BatchSource batches = source(options(), tasks());
  PrefetchLoader<sequence::PackedSequence> loader([&](std::int64_t i) { return batches.batch(i / 2, i % 2); },
                                                  4, 24, 3);
  for (std::int64_t i = 4; i < 24; ++i) {
    const auto batch = loader.next();
    ASSERT_TRUE(batch.has_value());
    EXPECT_EQ(*batch, batches.batch(i / 2, i % 2));
  }
  EXPECT_FALSE(loader.next().has_value());
  EXPECT_FALSE(loader.next().has_value());
}

TEST(PrefetchLoader, PassesOnExceptionsAfterTheBatchesBeforeThem) {
  PrefetchLoader<sequence::PackedSequence> loader(
      [](std::int64_t i) -> sequence::PackedSequence {
        if (i == 2) fail(ErrorKind::input, "broken");
        return {};
      },
      0, 10, 2);
  EXPECT_TRUE(loader.next().has_value());
  EXPECT_TRUE(loader.next().has_value());
  EXPECT_THROW(loader.next(), Error);
  EXPECT_THROW(loader.next(), Error);
}

TEST(PrefetchLoader, StaysWithinItsDepthAndStopsWhenDestroyed) {
  std::atomic<std::int64_t> produced = 0;
  {
    PrefetchLoader<sequence::PackedSequence> loader(
        [&](std::int64_t) {
          ++produced;
          return sequence::PackedSequence{};
        },
        0, 1'000'000'000, 3);
    loader.next();
    loader.next();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    EXPECT_LE(produced, 5);
  }
  EXPECT_LE(produced, 5);
}

}  // namespace
}  // namespace omni::data
