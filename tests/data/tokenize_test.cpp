#include "omni/data/tokenize.h"

#include <gtest/gtest.h>

#include <fstream>
#include <set>

#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/data/procedural_world.h"
#include "omni/data/shape_sample.h"
#include "omni/data/token_dataset.h"
#include "omni/geometry/renderer.h"
#include "omni/sequence/vocabulary.h"
#include "omni/tokenizers/shape_grid.h"
#include "temporary_directory.h"

namespace omni::data {
namespace {

using tokenizers::TokenizerSet;

class TokenizeTest : public ::testing::Test {
 protected:
  static constexpr std::int64_t kCount = 11;

  static const ProceduralSource& source() {
    static const ProceduralSource objects({.seed = 1, .split = Split::train, .count = kCount});
    return objects;
  }
  static std::unique_ptr<tokenizers::TextTokenizer> text() {
    return std::make_unique<tokenizers::TextTokenizer>(
        tokenizers::TextTokenizer::from_merges({{"r", "e"}, {"re", "d"}}));
  }
  static std::unique_ptr<tokenizers::ImageTokenizer> image() {
    return std::make_unique<tokenizers::ImageTokenizer>(
        tokenizers::ImageTokenizerConfig{.image_size = 16,
                                         .channels = 32,
                                         .channel_multipliers = {1, 1},
                                         .res_blocks = {1, 1},
                                         .z_channels = 8,
                                         .codebook_size = 64,
                                         .codebook_dim = 4},
        3);
  }
  static std::unique_ptr<tokenizers::ShapeTokenizer> shape(std::uint64_t seed = 3) {
    return std::make_unique<tokenizers::GridShapeTokenizer>(
        tokenizers::GridShapeConfig{.resolution = 16,
                                    .encoder_channels = {4, 8, 16},
                                    .decoder_channels = {16, 8},
                                    .output_resolution = 16},
        seed);
  }
  static const TokenizerSet& set() {
    static const TokenizerSet all(text(), image(), shape());
    return all;
  }
  static TokenizeOptions options() {
    return {.seed = 5, .views_per_object = 2, .objects_per_shard = 4, .batch = 4, .source_name = "test"};
  }
  TokenDataset open(const std::filesystem::path& folder) const {
    const std::filesystem::path folders[] = {folder};
    return TokenDataset::open(folders);
  }
  static std::map<std::string, std::vector<std::byte>> contents(const std::filesystem::path& folder) {
    std::map<std::string, std::vector<std::byte>> files;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      files[entry.path().filename()] = read_file_bytes(entry.path());
    }
    return files;
  }

  test::TemporaryDirectory folder_;
};

TEST_F(TokenizeTest, ShardsHoldWhatTheTokenizersSay) {
  const TokenizeSummary summary = tokenize(source(), set(), options(), folder_.path() / "out");
  EXPECT_EQ(summary.objects, kCount);
  EXPECT_EQ(summary.shards, 3);
  EXPECT_EQ(summary.reused_shards, 0);
  const TokenDataset dataset = open(folder_.path() / "out");
  ASSERT_EQ(dataset.size(), kCount);
  EXPECT_EQ(dataset.tokens(), set().format());
  std::vector<image::Image> renders;
  std::vector<tokenizers::ShapeSample> samples;
  for (std::int64_t i = 0; i < 4; ++i) {  // the first shard is one batch
    const auto place = dataset.at(i);
    const TokenObject object = place.shard->object(place.object);
    const ObjectRecord record = source().load(i);
    EXPECT_EQ(object.id, record.id);
    std::map<std::string, std::string> attributes = record.attributes;
    for (const ColouredPart& part : record.parts) attributes[part.name + " colour"] = part.colour_name;
    EXPECT_EQ(object.attributes, attributes);
    EXPECT_EQ(object.size, sequence::size_bin(record.longest_side_m));
    EXPECT_EQ(*std::max_element(object.box.begin(), object.box.end()), sequence::kBoxBins - 1);
    std::vector<Caption> stored = record.captions;
    std::erase_if(stored, [](const Caption& caption) { return caption.kind == CaptionKind::reworded; });
    EXPECT_LT(stored.size(), record.captions.size());
    ASSERT_EQ(object.captions.size(), stored.size());
    for (std::size_t k = 0; k < stored.size(); ++k) {
      EXPECT_EQ(set().text()->decode(object.captions[k].tokens), stored[k].text);
      EXPECT_EQ(object.captions[k].kind, stored[k].kind);
    }
    const geometry::Renderer renderer(record.mesh);
    std::set<std::pair<int, int>> views;
    for (const TokenObject::View& view : object.views) {
      EXPECT_TRUE(view.azimuth % 6 == 3 && view.elevation == 4);
      EXPECT_TRUE(views.emplace(view.azimuth, view.elevation).second);
      renders.push_back(renderer.render({.azimuth_degrees = geometry::azimuth_of_bin(view.azimuth),
                                         .elevation_degrees = geometry::elevation_of_bin(view.elevation)},
                                        {.width = 16, .height = 16}));
    }
    samples.push_back(make_shape_sample(record, set().shape()->required_input(), CounterRng(1)));
  }
  const auto codes = set().image()->encode(renders);
  const auto shapes = set().shape()->encode(samples);
  for (std::int64_t i = 0; i < 4; ++i) {
    const auto place = dataset.at(i);
    const TokenObject object = place.shard->object(place.object);
    for (std::size_t v = 0; v < 2; ++v)
      EXPECT_EQ(object.views[v].codes, codes[static_cast<std::size_t>(i) * 2 + v]);
    EXPECT_EQ(object.geometry, shapes[static_cast<std::size_t>(i)].geometry);
  }
}

TEST_F(TokenizeTest, DrawnViewsStayWhatTheyAre) {
  const TokenizerSet pictures(nullptr, image(), nullptr);
  tokenize(source(), pictures, options(), folder_.path() / "out");
  const TokenDataset dataset = open(folder_.path() / "out");
  std::vector<std::int32_t> azimuths;
  for (std::int64_t i = 0; i < kCount; ++i) {
    const auto [shard, object] = dataset.at(i);
    for (std::int64_t v = 0; v < 2; ++v) azimuths.push_back(shard->view_bins(object, v).first);
  }
  EXPECT_EQ(azimuths, (std::vector<std::int32_t>{15, 3, 3,  21, 9,  21, 15, 3, 9,  15, 3,
                                                 21, 3, 15, 21, 15, 9,  15, 3, 21, 3,  15}));
}

TEST_F(TokenizeTest, AStoppedRunGoesOnToTheSameBytes) {
  const auto whole = folder_.path() / "whole", stopped = folder_.path() / "stopped";
  tokenize(source(), set(), options(), whole);
  tokenize(source(), set(), options(), stopped);
  EXPECT_EQ(contents(whole), contents(stopped));
  std::filesystem::remove(stopped / "shard-00001.safetensors");
  {
    std::ofstream truncated(stopped / "shard-00002.safetensors", std::ios::trunc);
    truncated << "broken";
  }
  const TokenizeSummary summary = tokenize(source(), set(), options(), stopped);
  EXPECT_EQ(summary.reused_shards, 1);
  EXPECT_EQ(contents(whole), contents(stopped));
}

TEST_F(TokenizeTest, AFolderOfAnotherKindIsRefused) {
  const auto out = folder_.path() / "out";
  tokenize(source(), set(), options(), out);
  const auto before = contents(out);
  const auto refused = [&](const TokenizerSet& tokenizers, const TokenizeOptions& changed) {
    try {
      tokenize(source(), tokenizers, changed, out);
      ADD_FAILURE() << "accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage) << error.what();
    }
    EXPECT_EQ(contents(out), before);
  };
  TokenizeOptions changed = options();
  changed.seed = 6;
  refused(set(), changed);
  changed = options();
  changed.count = 4;
  refused(set(), changed);
  refused({text(), image(), shape(4)}, options());
}

TEST_F(TokenizeTest, AnyTokenizerMayBeLeftOut) {
  for (int only = 0; only < 3; ++only) {
    const TokenizerSet one(only == 0 ? text() : nullptr, only == 1 ? image() : nullptr,
                           only == 2 ? shape() : nullptr);
    const auto out = folder_.path() / std::to_string(only);
    tokenize(source(), one, options(), out);
    const TokenDataset dataset = open(out);
    EXPECT_EQ(dataset.tokens().text.present(), only == 0);
    EXPECT_EQ(dataset.tokens().image.present(), only == 1);
    EXPECT_EQ(dataset.tokens().shape.present(), only == 2);
  }
}

TEST_F(TokenizeTest, RejectsImpossibleOptions) {
  const auto refused = [&](const TokenizerSet& tokenizers, auto change) {
    TokenizeOptions changed = options();
    change(changed);
    try {
      tokenize(source(), tokenizers, changed, folder_.path() / "never");
      ADD_FAILURE() << "accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage);
    }
    EXPECT_FALSE(std::filesystem::exists(folder_.path() / "never"));
  };
  refused({}, [](TokenizeOptions&) {});
  refused(set(), [](TokenizeOptions& o) { o.count = kCount + 1; });
  refused(set(), [](TokenizeOptions& o) { o.views_per_object = 5; });
  refused(set(), [](TokenizeOptions& o) { o.views_per_object = 0; });
  refused(set(), [](TokenizeOptions& o) { o.objects_per_shard = 0; });
  refused(set(), [](TokenizeOptions& o) { o.azimuth_bins = {24}; });
}

// A source that breaks at one object.
class BreakingSource : public ObjectSource {
 public:
  std::int64_t size() const override { return 11; }
  ObjectRecord load(std::int64_t index) const override {
    if (index == 6) fail(ErrorKind::input, "object 6 is broken");
    return inner_.load(index);
  }
  std::uint64_t fingerprint() const override { return 1; }

 private:
  ProceduralSource inner_{{.seed = 1, .split = Split::train, .count = 11}};
};

TEST_F(TokenizeTest, AFailureLeavesTheShardsBeforeAndNothingElse) {
  const auto out = folder_.path() / "out";
  EXPECT_THROW(tokenize(BreakingSource(), set(), options(), out), Error);
  const auto files = contents(out);
  ASSERT_EQ(files.size(), 1u);
  EXPECT_EQ(files.begin()->first, "shard-00000.safetensors");
}

TEST_F(TokenizeTest, ShardsTellWhetherSizesVary) {
  const test::TemporaryDirectory folder;
  const ProceduralSource varied({.seed = 1, .split = Split::train, .count = 3, .variation = 0.25});
  const TokenizerSet shapes(nullptr, nullptr, shape());
  (void)tokenize(varied, shapes, options(), folder / "varied");
  (void)tokenize(source(), shapes, options(), folder / "plain");
  EXPECT_EQ(TokenShard(folder / "varied" / "shard-00000.safetensors").info().variation, 0.25);
  EXPECT_EQ(TokenShard(folder / "plain" / "shard-00000.safetensors").info().variation, 0);
}

}  // namespace
}  // namespace omni::data
