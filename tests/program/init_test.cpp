// `omni init` with the small Cube3D and image tokenizer of the reference cases.
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
  expect_refused(words("never", {"--image", "absent"}), ErrorKind::io, "absent");
  expect_refused(words("never", {"--image", "published"}), ErrorKind::io, "published");
}

}  // namespace
}  // namespace omni::tools
