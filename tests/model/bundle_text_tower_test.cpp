#include "omni/model/bundle_text_tower.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/model/bundle.h"
#include "omni/model/bundle_place.h"
#include "omni/model/decode_session.h"
#include "omni/model/public_model.h"
#include "refusal.h"
#include "temporary_directory.h"

namespace omni::model {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

const fs::path fixtures = fs::path(OMNI_TEST_FIXTURES) / "public";

PublicFiles published(const char* name) {
  return {.weights = fixtures / name / "model.safetensors", .config = {}, .tokenizer = {}};
}

std::string io_refusal(const std::function<void()>& action) { return test::refusal(ErrorKind::io, action); }

class BundleTextTowerTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    import_clip(published("clip"), /*text_alone=*/false, folder_ / "clip");
    import_qwen3(published("qwen3"), folder_ / "qwen3");
  }

  // A bundle of texts alone.
  Bundle bundle(const fs::path& tower) const {
    TransformerConfig config;
    config.width = 32;
    config.heads = 2;
    config.single_blocks = 1;
    BundleTextTower read = BundleTextTower::load(tower);
    config.features = {text_input_of_width(read.width())};
    Bundle made = make_bundle(
        config,
        {std::make_unique<tokenizers::TextTokenizer>(tokenizers::TextTokenizer::load(read.tokenizer_file())),
         nullptr, nullptr},
        12, /*views=*/false, 7);
    made.text_tower = std::move(read);
    return made;
  }

  test::TemporaryDirectory folder_;
};
INSTANTIATE_TEST_SUITE_P(Towers, BundleTextTowerTest, testing::Values("clip", "qwen3"));

TEST_P(BundleTextTowerTest, ABundleKeepsItsOwnCopy) {
  save_bundle(bundle(folder_ / GetParam()), folder_ / "bundle");
  fs::remove_all(folder_ / GetParam());
  const Bundle loaded = load_bundle(folder_ / "bundle");
  ASSERT_TRUE(loaded.text_tower.has_value());
  const TextTower& tower = *loaded.text_tower->tower();
  const auto tokens = loaded.tokenizers.text()->encode("a red chair");
  const std::unique_ptr<TextTower> truth = open_text_tower(published(GetParam()));
  EXPECT_EQ(truth->tokenizer()->encode("a red chair"), tokens);
  EXPECT_TRUE(tower.features(tower.ids({tokens})).equal(truth->features(truth->ids({tokens}))));
  // Saving it again, over itself, too.
  save_bundle(loaded, folder_ / "bundle");
  EXPECT_EQ(load_bundle(folder_ / "bundle").text_tower->fingerprint(), loaded.text_tower->fingerprint());
  const Bundle shapes = load_bundle_shapes(folder_ / "bundle");
  EXPECT_EQ(shapes.text_tower->bytes(), loaded.text_tower->bytes());
  EXPECT_EQ(shapes.text_tower->width(), 32);
  EXPECT_EQ(shapes.text_tower->tower(), nullptr);
}

// The rows of a text do not depend on what comes after its end, and the first of them is that of its first token.
TEST_P(BundleTextTowerTest, TheRowsOfATextAreThoseOfItsTokensAndItsEnd) {
  const BundleTextTower tower = BundleTextTower::load(folder_ / GetParam());
  const TextTower& network = *tower.tower();
  const auto tokens = network.tokenizer()->encode("a red chair");
  const at::Tensor ids = network.ids({tokens});
  const auto length = static_cast<std::int64_t>(tokens.size());
  const at::Tensor own = rows_of_text(network, ids[0], length);
  for (std::int64_t i = 0; i < length; ++i) EXPECT_EQ(own[i].item<std::int64_t>(), tokens[i]);
  const at::Tensor end = ids[0][network.rows() - 1];
  EXPECT_TRUE(own[length].equal(end));
  EXPECT_EQ(own.size(0), length + 1);
  at::Tensor other = ids.clone();
  other[0][network.rows() - 1] = 5;
  EXPECT_TRUE(rows_of_text(network, network.features(ids)[0], length)
                  .allclose(rows_of_text(network, network.features(other)[0], length), 1e-5, 1e-5));
}

TEST_P(BundleTextTowerTest, AMissingOrOtherOneIsNamed) {
  save_bundle(bundle(folder_ / GetParam()), folder_ / "bundle");
  const fs::path own = folder_ / "bundle/text_tower";
  fs::rename(own, folder_ / "away");
  for (const auto& read : {std::function<void()>([&] { load_bundle(folder_ / "bundle"); }),
                           std::function<void()>([&] { load_bundle_shapes(folder_ / "bundle"); })}) {
    const std::string said = io_refusal(read);
    EXPECT_THAT(said, HasSubstr("text_tower"));
    EXPECT_THAT(said, HasSubstr("is missing"));
  }
  const std::string other = std::string(GetParam()) == "clip" ? "qwen3" : "clip";
  fs::copy(folder_ / other, own, fs::copy_options::recursive);
  EXPECT_THAT(test::input_refusal([&] { load_bundle(folder_ / "bundle"); }),
              HasSubstr("is another text tower than the one that it was trained with"));
  fs::remove_all(own);
  fs::rename(folder_ / "away", own);
  EXPECT_NO_THROW(load_bundle(folder_ / "bundle"));
}

// Whose weights are larger than the pieces that a stamp takes of them: what loading trusts, verification finds.
class StampedTextTowerTest : public BundleTextTowerTest {};
INSTANTIATE_TEST_SUITE_P(Towers, StampedTextTowerTest, testing::Values("clip"));

TEST_P(StampedTextTowerTest, IsReadWholeOnceAndThenVerified) {
  const fs::path saved = folder_ / "bundle", weights = saved / "text_tower/model.safetensors",
                 stamp = saved / "text_tower.stamp";
  save_bundle(bundle(folder_ / GetParam()), saved);
  EXPECT_EQ(text_tower_is_sound(saved), true);
  EXPECT_EQ(text_tower_is_sound(folder_ / GetParam()), std::nullopt) << "no bundle";
  const std::uint64_t fingerprint = load_bundle(saved).text_tower->fingerprint();
  EXPECT_TRUE(fs::exists(stamp));
  EXPECT_NO_THROW(require_bundle_place(saved));

  // Between the 64 pieces of 4096 bytes.
  constexpr std::uint64_t kPieces = 64, kPiece = 4096;
  const std::uint64_t size = fs::file_size(weights), place = (size - kPiece) * 31 / (kPieces - 1) + kPiece;
  ASSERT_LT(place + 4, (size - kPiece) * 32 / (kPieces - 1));
  const auto time = fs::last_write_time(weights);
  {
    std::fstream file(weights, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(place));
    file.write("\1\1\1\1", 4);
  }
  const auto expect_refused = [&] {
    EXPECT_THAT(test::input_refusal([&] { load_bundle(saved); }), HasSubstr("is another text tower"));
  };
  expect_refused();  // its time is another one
  fs::last_write_time(weights, time);
  EXPECT_EQ(load_bundle(saved).text_tower->fingerprint(), fingerprint);
  EXPECT_EQ(text_tower_is_sound(saved), false);
  EXPECT_THAT(io_refusal([&] { save_bundle(load_bundle(saved), folder_ / "copy"); }),
              HasSubstr("other ones than when it was read"));
  fs::remove(stamp);
  expect_refused();  // nothing says that it was ever read
  write_file_atomically(stamp, std::string_view("torn"));
  expect_refused();
}

TEST_P(BundleTextTowerTest, AStampThatCannotBeWrittenIsDoneWithout) {
  const fs::path saved = folder_ / "bundle";
  save_bundle(bundle(folder_ / GetParam()), saved);
  fs::create_directories(saved / "text_tower.stamp/occupied");
  EXPECT_NO_THROW(load_bundle(saved));
}

TEST_P(BundleTextTowerTest, AFolderThatChangedMeanwhileIsNotCopied) {
  const Bundle made = bundle(folder_ / GetParam());
  write_file_atomically(folder_ / GetParam() / "more.txt", std::string_view("more"));
  EXPECT_THAT(io_refusal([&] { save_bundle(made, folder_ / "bundle"); }),
              HasSubstr("other ones than when it was read"));
  EXPECT_FALSE(fs::exists(folder_ / "bundle"));
}

TEST_P(BundleTextTowerTest, MappedWeightsEmbedFeaturesAlike) {
  save_bundle(bundle(folder_ / GetParam()), folder_ / "bundle");
  const Bundle whole = load_bundle(folder_ / "bundle");
  const at::Tensor features = at::arange(64, at::kFloat).view({2, 32}) / 50;
  for (int pass = 0; pass < 2; ++pass) {  // one that packs, and one that finds what was packed
    const Bundle mapped = load_bundle_for_decoding(folder_ / "bundle", kernels::DecodeFormat::fp32, 0);
    ASSERT_TRUE(mapped.text_tower.has_value());
    EXPECT_TRUE(mapped.transformer->embed_features(0, features)
                    .equal(whole.transformer->embed_features(0, features)));
  }
}

TEST_P(BundleTextTowerTest, WhatIsNoTowerIsRefused) {
  EXPECT_THAT(io_refusal([&] { BundleTextTower::load(folder_ / "nothing"); }), HasSubstr("omni import clip"));
  fs::remove(folder_ / "clip/tokenizer.json");
  EXPECT_THAT(test::input_refusal([&] { BundleTextTower::load(folder_ / "clip"); }),
              HasSubstr("has no tokenizer.json"));
  write_file_atomically(folder_ / "qwen3/model.safetensors", std::string_view("torn"));
  EXPECT_NE(test::input_refusal([&] { BundleTextTower::load(folder_ / "qwen3"); }), "");
}

}  // namespace
}  // namespace omni::model
