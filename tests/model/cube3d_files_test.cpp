#include "omni/model/cube3d_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "omni/core/error.h"
#include "omni/core/json_text.h"
#include "refusal.h"
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

// The tensors in two files by turns, and the index of them in place of the file.
void cut_in_two(const fs::path& file) {
  {
    const SafetensorsFile whole(file);
    std::map<std::string, std::vector<NamedTensorView>> shards;
    nlohmann::json index;
    for (const auto& [name, view] : whole.tensors()) {
      const std::string shard =
          concat("shape_gpt-0000", 1 + index["weight_map"].size() % 2, "-of-00002.safetensors");
      index["weight_map"][name] = shard;
      shards[shard].push_back({name, view});
    }
    for (const auto& [name, tensors] : shards) write_safetensors(file.parent_path() / name, tensors);
    write_file_atomically(file.string() + ".index.json", std::string_view(json_text(index)));
  }
  fs::remove(file);
}

TEST_F(Cube3dFilesTest, AGptInShardsIsFoundByItsIndex) {
  const at::Tensor ids = at::arange(6, at::kLong).view({1, 6}), box = at::ones({1, 3});
  const auto logits = [&](const Cube3dModel& model, const TextTower& text) {
    return model.gpt->logits(model.gpt->condition(text.features(ids), box), ids);
  };
  const at::Tensor whole = logits(open_cube3d(find()), *open_cube3d_text(find()));
  cut_in_two(folder_ / "shape_gpt.safetensors");
  EXPECT_TRUE(logits(open_cube3d(find()), *open_cube3d_text(find())).equal(whole));
  EXPECT_NO_THROW(open_cube3d(find(), kernels::DecodeFormat::fp32));
  import_cube3d({.weights = folder_.path(), .config = folder_ / "gpt.json", .tokenizer = {}},
                {.weights = folder_ / "clip", .config = {}, .tokenizer = {}}, {}, folder_ / "imported");
  const Cube3dModel imported = load_cube3d(folder_ / "imported");
  EXPECT_TRUE(logits(imported, *imported.text).equal(whole));
  fs::remove(folder_ / "shape_gpt-00002-of-00002.safetensors");
  expect_refused(ErrorKind::io, "shape_gpt-00002-of-00002.safetensors., which is not there");
}

// Sizes that a configuration or a header says, and nothing that follows from them.
TEST_F(Cube3dFilesTest, AllHeadersAreComparedBeforeAnythingIsMade) {
  const std::string right = read_file_text(folder_ / "gpt.json");
  EXPECT_NO_THROW(require_fitting(find()));
  const auto expect_forged = [&](const std::string& from, const std::string& to, const std::string& words) {
    const std::string forged = test::with_text(right, from, to);
    ASSERT_NE(forged, right);
    write_file_atomically(folder_ / "gpt.json", std::string_view(forged));
    EXPECT_THAT(test::input_refusal([&] { require_fitting(find()); }), testing::HasSubstr(words));
    write_file_atomically(folder_ / "gpt.json", std::string_view(right));
  };
  expect_forged("\"n_embd\": 32", "\"n_embd\": 65536", "transformer.dual_blocks.0.attn.pre_c");
  expect_forged("\"text_model_embed_dim\": 32", "\"text_model_embed_dim\": 64", "the GPT expects 64");
  expect_forged("\"shape_model_vocab_size\": 32", "\"shape_model_vocab_size\": 31", "transformer.wte.weight");

  const auto expect_broken = [&](const std::string& file, const std::string& words) {
    EXPECT_THAT(test::input_refusal([&] { require_fitting(find()); }), testing::HasSubstr(words));
    const PublicFiles gpt{.weights = folder_.path(), .config = folder_ / "gpt.json", .tokenizer = {}};
    EXPECT_THAT(test::input_refusal([&] {
                  import_cube3d(gpt, {.weights = folder_ / "clip", .config = {}, .tokenizer = {}}, {},
                                folder_ / "never");
                }),
                testing::HasSubstr(words));
    EXPECT_FALSE(fs::exists(folder_ / "never")) << file;
  };
  // No packed weights are left by a tokenizer that cannot be read.
  const SafetensorsFile tokenizer(fs::path(OMNI_TEST_FIXTURES) /
                                  "tiny/cube3d/tokenizer/shape_tokenizer.safetensors");
  std::vector<NamedTensorView> tensors;
  for (const auto& [name, view] : tokenizer.tensors())
    if (name != "occupancy_decoder.c_head.bias") tensors.push_back({name, view});
  write_safetensors(folder_ / "shape_tokenizer.safetensors", tensors);
  const std::string missing =
      "'occupancy_decoder.c_head.bias' is missing. The network expects it in the shape [1]";
  expect_broken("shape_tokenizer.safetensors", missing);
  EXPECT_THAT(test::input_refusal([&] { open_cube3d(find(), kernels::DecodeFormat::bf16); }),
              testing::HasSubstr(missing));
  for (const auto& entry : fs::directory_iterator(folder_.path()))
    EXPECT_THAT(entry.path().string(), testing::Not(testing::HasSubstr("panels")));
  write_safetensors(folder_ / "clip/model.safetensors", tensors);
  expect_broken("clip/model.safetensors", "'text_model.");
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
