// `omni init` with the small Cube3D, Qwen3 and image tokenizer of the reference cases.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "forked_run.h"
#include "omni/core/error.h"
#include "small_cube3d.h"
#include "temporary_directory.h"

namespace omni::tools {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using Words = std::vector<std::string>;

const std::string kImageFile = OMNI_SOURCE_DIR "/tests/fixtures/tiny/llamagen_vq/vq.safetensors";

class Init : public testing::Test {
 protected:
  void SetUp() override {
    test::write_small_cube3d(OMNI_SOURCE_DIR "/tests/fixtures", folder_ / "published");
    const Ending image =
        run({"tokenizer", "import", "llamagen", kImageFile, "--image-size", "8", "--out", "image"});
    ASSERT_EQ(image.code, 0) << image.output;
  }
  Ending run(const Words& words) const { return run_forked(words, folder_.path()); }
  // Of the published files, with some words replaced.
  Words words(const std::string& out, const Words& image = {"--image", "image"}) const {
    Words all = {"init",  "--from", "cube3d-v0.5", "--weights", "published", "--config", "published/gpt.json",
                 "--out", out};
    all.insert(all.end(), image.begin(), image.end());
    return all;
  }
  void expect_refused(const Words& given, ErrorKind kind, const std::string& text) const {
    const Ending ending = run(given);
    EXPECT_EQ(ending.code, exit_code(kind)) << ending.output;
    EXPECT_THAT(ending.output, HasSubstr(text));
    EXPECT_FALSE(fs::exists(folder_ / "never"));
  }

  const test::TemporaryDirectory folder_;
};

TEST_F(Init, PublishedAndImportedFilesGrowIntoTheSameBundle) {
  const Ending grown = run(words("grown"));
  ASSERT_EQ(grown.code, 0) << grown.output;
  EXPECT_THAT(grown.output, HasSubstr("16 codes a picture, 8 a shape"));
  const Ending import = run({"import", "cube3d", "published", "--config", "published/gpt.json", "--text",
                             "published/clip", "--out", "imported"});
  ASSERT_EQ(import.code, 0) << import.output;
  const Ending again = run({"init", "--from", "imported", "--image", "image", "--out", "again"});
  ASSERT_EQ(again.code, 0) << again.output;
  EXPECT_EQ(read_file_bytes(folder_ / "grown/model.safetensors"),
            read_file_bytes(folder_ / "again/model.safetensors"));

  const Ending bundle = run({"info", "bundle", "grown"});
  EXPECT_EQ(bundle.code, 0) << bundle.output;
  EXPECT_THAT(bundle.output, HasSubstr("grown from: cube3d-v0.5"));
  EXPECT_THAT(bundle.output, HasSubstr("stage: init"));
  const Ending model = run({"info", "model", "grown"});
  EXPECT_EQ(model.code, 0) << model.output;
  EXPECT_THAT(model.output, HasSubstr("blocks            2 of two streams, 1 over the generated one"));
  EXPECT_THAT(model.output, HasSubstr("image 64 geometry 32"));
}

// No stage could show the tower longer texts, in whose place it would be trained on others.
TEST_F(Init, ATextCapacityBeyondWhatTheCube3dsTowerReadsIsRefused) {
  expect_refused(words("never", {"--image", "image", "--text-capacity", "76"}), ErrorKind::usage,
                 "texts of 76 tokens are asked for, and its text tower in 'published/clip' reads 75 at most");
  const Ending all = run(words("all", {"--image", "image", "--text-capacity", "75"}));
  EXPECT_EQ(all.code, 0) << all.output;
  const Ending fewer = run(words("fewer", {"--image", "image", "--text-capacity", "20"}));
  EXPECT_EQ(fewer.code, 0) << fewer.output;
  ASSERT_EQ(run(words("unsaid")).code, 0);
  EXPECT_EQ(read_file_text(folder_ / "unsaid/bundle.yaml"), read_file_text(folder_ / "all/bundle.yaml"));
  EXPECT_NE(read_file_text(folder_ / "unsaid/bundle.yaml"), read_file_text(folder_ / "fewer/bundle.yaml"));
}

// As somebody would go on: a configuration of the Qwen3's own sizes, its folder as it was published or imported.
TEST_F(Init, AQwen3StartsTheTextStreamOfABundle) {
  const std::string qwen3 = OMNI_SOURCE_DIR "/tests/fixtures/public/qwen3";
  write_file_atomically(folder_ / "model.yaml", std::string_view(R"(family: omni
transformer: {width: 32, streams: 2, dual_blocks: 2, single_blocks: 1, heads: 4, head_size: 16, key_value_heads: 2,
  mlp_hidden: 72, query_key_norm_epsilon: 1e-6, rope_theta: 1e6}
layout: {text_capacity: 20}
)"));
  const auto start = [&](const std::string& from, const std::string& out, const Words& more = {}) {
    Words all = {"init", "model.yaml", "--text-stream", from, "--image", "image", "--out", out};
    all.insert(all.end(), more.begin(), more.end());
    return run(all);
  };
  const Ending made = start(qwen3, "made");
  ASSERT_EQ(made.code, 0) << made.output;
  EXPECT_THAT(made.output, HasSubstr("16 codes a picture, 0 a shape"));
  ASSERT_EQ(run({"import", "qwen3", qwen3, "--out", "imported"}).code, 0);
  ASSERT_EQ(start("imported", "again").code, 0);
  EXPECT_EQ(read_file_bytes(folder_ / "made/model.safetensors"),
            read_file_bytes(folder_ / "again/model.safetensors"));
  EXPECT_EQ(read_file_bytes(folder_ / "made/text_tokenizer.json"),
            read_file_bytes(qwen3 + "/tokenizer.json"));
  const Ending bundle = run({"info", "bundle", "made"});
  EXPECT_EQ(bundle.code, 0) << bundle.output;
  EXPECT_THAT(bundle.output, HasSubstr("text stream from: qwen3"));
  // It draws, though nothing of it is trained but the texts.
  const Ending drawn = run(
      {"sample", "--model", "made", "--task", "text->image", "--prompt", "a red chair", "--out", "x.png"});
  EXPECT_EQ(drawn.code, 0) << drawn.output;

  EXPECT_THAT(start(qwen3, "never", {"--weights", "published"}).output, HasSubstr("--weights is for --from"));
  EXPECT_THAT(start(qwen3, "never", {"--from", "published"}).output,
              HasSubstr("--from a Cube3D or with --text-stream"));
  expect_refused({"init", "model.yaml", "--text-stream", "nowhere", "--out", "never"}, ErrorKind::io,
                 "'nowhere': there is no such file or folder");
  expect_refused({"init", "--text-stream", qwen3, "--out", "never"}, ErrorKind::usage,
                 "Name its configuration");
  expect_refused(
      {"init", OMNI_SOURCE_DIR "/configs/model/tiny.yaml", "--text-stream", qwen3, "--out", "never"},
      ErrorKind::usage, "'width' is 192, the Qwen3's is 32");
}

TEST_F(Init, WhatDoesNotFitIsRefusedByName) {
  ASSERT_EQ(run(words("there")).code, 0);
  expect_refused(words("there"), ErrorKind::usage, "'there' exists");
  expect_refused({"init", "--from", "cube3d-v0.5", "--image", "image", "--out", "never"}, ErrorKind::usage,
                 "Name their folder with --weights");
  expect_refused(
      {"init", "--from", "published", "--weights", "published", "--image", "image", "--out", "never"},
      ErrorKind::usage, "--weights is for");
  expect_refused({"init", "--from", "there", "--image", "image", "--out", "never"}, ErrorKind::io,
                 "it has no public.yaml");
  expect_refused(words("never", {"--image", "llamagen-vq16"}), ErrorKind::usage, "--image-weights");
  expect_refused(words("never", {"--image", "llamagen-vq16", "--image-weights", kImageFile}),
                 ErrorKind::input, "is 2 pixels a side, so that it is not llamagen-vq16");
  expect_refused(words("never", {"--image", "image", "--image-weights", kImageFile}), ErrorKind::usage,
                 "--image-weights is for");
  expect_refused(words("never", {}), ErrorKind::usage, "Name their tokenizer with --image");
  expect_refused(words("never", {"--image", "image", "--shape-tokenizer", "image"}), ErrorKind::usage,
                 "--shape-tokenizer is for --text-stream");
  expect_refused(words("never", {"--image", "absent"}), ErrorKind::io, "absent");
  expect_refused(words("never", {"--image", "published"}), ErrorKind::io, "published");
}

}  // namespace
}  // namespace omni::tools
