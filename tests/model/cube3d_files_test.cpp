#include "omni/model/cube3d_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "omni/core/error.h"
#include "small_cube3d.h"
#include "temporary_directory.h"

namespace omni::model {
namespace {

namespace fs = std::filesystem;

class Cube3dFilesTest : public testing::Test {
 protected:
  void SetUp() override { test::write_small_cube3d(OMNI_TEST_FIXTURES, folder_.path()); }

  Cube3dFiles find(const fs::path& text = {}, Cube3dVersion version = Cube3dVersion::v0_5) const {
    return find_cube3d(folder_.path(), version, text, folder_ / "gpt.json");
  }
  void expect_refused(ErrorKind kind, const std::string& words, const fs::path& text = {},
                      Cube3dVersion version = Cube3dVersion::v0_5) const {
    try {
      find(text, version);
      ADD_FAILURE() << "taken: " << words;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), kind) << error.what();
      EXPECT_THAT(error.what(), testing::ContainsRegex(words));
    }
  }

  const test::TemporaryDirectory folder_;
};

TEST_F(Cube3dFilesTest, OpenTheModelThatImportingThemMakes) {
  const Cube3dFiles files = find();
  EXPECT_EQ(codes_per_shape(files), 8);
  const Cube3dModel direct = open_cube3d(files);
  const std::unique_ptr<TextTower> text = open_cube3d_text(files);
  import_cube3d({.weights = folder_.path(), .config = folder_ / "gpt.json", .tokenizer = {}},
                {.weights = folder_ / "clip", .config = {}, .tokenizer = {}}, {}, folder_ / "imported");
  EXPECT_EQ(codes_per_shape(imported_cube3d(folder_ / "imported")), 8);
  const Cube3dModel imported = load_cube3d(folder_ / "imported");
  const at::Tensor ids = at::arange(6, at::kLong).view({1, 6});
  const at::Tensor features = text->features(ids), box = at::ones({1, 3});
  EXPECT_TRUE(features.equal(imported.text->features(ids)));
  EXPECT_TRUE(direct.gpt->logits(direct.gpt->condition(features, box), ids)
                  .equal(imported.gpt->logits(imported.gpt->condition(features, box), ids)));
}

TEST_F(Cube3dFilesTest, WhatIsMissingIsNamed) {
  for (const char* name : {"shape_gpt.safetensors", "shape_tokenizer.safetensors"}) {
    fs::rename(folder_ / name, folder_ / "elsewhere");
    expect_refused(ErrorKind::io, std::string(name) + " is missing");
    fs::rename(folder_ / "elsewhere", folder_ / name);
  }
  expect_refused(ErrorKind::io, "other.: there is no such", folder_ / "other");
  fs::remove(folder_ / "clip" / "tokenizer.json");
  expect_refused(ErrorKind::io,
                 "its text tower, CLIP ViT-L/14, is neither there nor in a folder there.*clip., "
                 "which comes nearest, lacks tokenizer.json. Fetch");
  expect_refused(ErrorKind::io, "tokenizer.json missing", folder_ / "clip");
  EXPECT_THROW(find_cube3d(folder_ / "absent", Cube3dVersion::v0_5), Error);
}

TEST_F(Cube3dFilesTest, TheTextTowerLiesAnywhereNear) {
  EXPECT_EQ(find().text.weights, folder_ / "clip");
  fs::copy(folder_ / "clip", folder_ / "other");
  expect_refused(ErrorKind::usage, "clip.*other.*--text");
  EXPECT_EQ(find(folder_ / "other").text.weights, folder_ / "other");
  fs::remove_all(folder_ / "other");
  for (const char* name : {"model.safetensors", "config.json", "tokenizer.json"})
    fs::rename(folder_ / "clip" / name, folder_ / name);
  EXPECT_EQ(find().text.weights, folder_.path());
}

TEST_F(Cube3dFilesTest, AFolderThatCannotBeReadIsPassedOver) {
  fs::create_symlink("round", folder_ / "round");
  EXPECT_EQ(find().text.weights, folder_ / "clip");
  fs::create_directory(folder_ / "closed");
  fs::permissions(folder_ / "closed", fs::perms::none);
  EXPECT_EQ(find().text.weights, folder_ / "clip");
  fs::permissions(folder_ / "closed", fs::perms::owner_all);
}

TEST_F(Cube3dFilesTest, TheOtherVersionIsRefused) {
  expect_refused(ErrorKind::input, "it is Cube3D v0.5", {}, Cube3dVersion::v0_1);
  test::write_small_cube3d_gpt(OMNI_TEST_FIXTURES, folder_.path(), /*box=*/false);
  expect_refused(ErrorKind::input, "it is Cube3D v0.1");
  EXPECT_FALSE(find({}, Cube3dVersion::v0_1).config.box);
  EXPECT_FALSE(open_cube3d(find({}, Cube3dVersion::v0_1)).gpt->config().box);
}

TEST_F(Cube3dFilesTest, AnImportedFolderSaysSo) {
  fs::rename(folder_ / "shape_gpt.safetensors", folder_ / "gone");
  write_file_atomically(folder_ / "public.yaml", std::string_view("family: cube3d\n"));
  expect_refused(ErrorKind::io, "was imported");
}

}  // namespace
}  // namespace omni::model
