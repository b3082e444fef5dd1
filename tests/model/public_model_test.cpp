#include "omni/model/public_model.h"

#include <cmath>

#include "omni/model/cube3d_training.h"
#include "omni/nn/parameters.h"
#include "public_case.h"
#include "small_cube3d.h"
#include "small_shape.h"

namespace omni::model {
namespace {

namespace fs = std::filesystem;

const fs::path kCube3d = fs::path(OMNI_TEST_FIXTURES) / "tiny/cube3d";

at::Tensor some_ids() { return at::arange(6, at::kLong).view({1, 6}); }

TEST(PublicModel, AQwen3ComesBackFromItsFolder) {
  const PublicCase files("qwen3");
  const fs::path out = files / "out";
  import_qwen3({.weights = files.weights(), .config = {}, .tokenizer = {}}, out);
  EXPECT_EQ(public_family(out), PublicFamily::qwen3);
  const Qwen3WithTokenizer loaded = load_qwen3(out);
  const Qwen3 original(Qwen3Config::load(files.config()), WeightSource(files.weights()));
  EXPECT_TRUE(loaded.network->logits(some_ids()).equal(original.logits(some_ids())));
  ASSERT_NE(loaded.tokenizer, nullptr);
  EXPECT_FALSE(loaded.tokenizer->encode("a chair").empty());
  EXPECT_TRUE(verify_qwen3({out, files.config(), files.expected()}, out / "tokenizer.json").holds());
  EXPECT_THROW(load_clip(out), Error);
  // Importing again takes the older one's place; a folder of other things is left.
  import_qwen3({.weights = files.weights(), .config = {}, .tokenizer = {}}, out);
  write_file_atomically(files / "mine.txt", std::string_view("mine"));
  fs::create_directory(files / "other");
  fs::rename(files / "mine.txt", files / "other" / "mine.txt");
  EXPECT_THROW(import_qwen3({.weights = files.weights(), .config = {}, .tokenizer = {}}, files / "other"),
               Error);
}

TEST(PublicModel, WhatIsBrokenLeavesNoFolder) {
  const PublicCase files("qwen3");
  std::vector<float> values;
  files.rewrite([&](PublicCase::Tensors& tensors) {
    TensorView& view = tensors.at("model.norm.weight");
    values = view.to_vector<float>();
    values[3] = std::nanf("");
    view = tensor_view(values, view.shape);
  });
  const PublicFiles given{.weights = files.weights(), .config = {}, .tokenizer = {}};
  expect_input_error([&] { import_qwen3(given, files / "out"); }, {"element 3", "'model.norm.weight'"});
  EXPECT_FALSE(fs::exists(files / "out"));
  files.rewrite([](PublicCase::Tensors&) {});
  // A tokenizer of another model.
  expect_input_error(
      [&] {
        import_qwen3({.weights = files.weights(), .config = {}, .tokenizer = PublicCase("clip").tokenizer()},
                     files / "out");
      },
      {"the tokenizer has 634 tokens, the model only 382"});
  EXPECT_FALSE(fs::exists(files / "out"));
}

TEST(PublicModel, AClipComesBackWholeOrWithItsTextTowerAlone) {
  const PublicCase files("clip");
  const PublicFiles given{.weights = files.weights(), .config = {}, .tokenizer = {}};
  const Clip original(ClipConfig::load(files.config(), WeightSource(files.weights())),
                      WeightSource(files.weights()));
  import_clip(given, /*text_alone=*/false, files / "both");
  import_clip(given, /*text_alone=*/true, files / "text");
  const at::Tensor pixels = at::randn({1, 3, 28, 28});
  for (const char* name : {"both", "text"}) {
    const ClipWithTokenizer loaded = load_clip(files / name);
    EXPECT_TRUE(loaded.network->text(some_ids()).embedding.equal(original.text(some_ids()).embedding))
        << name;
    EXPECT_NE(loaded.tokenizer, nullptr);
  }
  EXPECT_TRUE(
      load_clip(files / "both").network->image(pixels).embedding.equal(original.image(pixels).embedding));
  EXPECT_FALSE(load_clip(files / "text").network->config().vision.has_value());
  EXPECT_LT(fs::file_size(files / "text" / "model.safetensors"),
            fs::file_size(files / "both" / "model.safetensors"));
}

TEST(PublicModel, SizesThatDoNotFitTogetherAreNamed) {
  const PublicCase files("clip");
  const fs::path out = files / "out";
  import_clip({.weights = files.weights(), .config = {}, .tokenizer = {}}, /*text_alone=*/false, out);
  const std::string description = read_file_text(out / "public.yaml");
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string changed = description;
    ASSERT_NE(changed.find(from), std::string::npos) << from;
    write_file_atomically(out / "public.yaml",
                          std::string_view(changed.replace(changed.find(from), from.size(), to)));
  };
  const auto load = [&] { load_clip(out); };
  with("heads: 2", "heads: 5");
  expect_input_error(load, {"public.yaml", "text.heads is 5"});
  with("heads: 3", "heads: 7");
  expect_input_error(load, {"public.yaml", "vision.heads is 7"});
  with("patch_size: 7", "patch_size: 29");
  expect_input_error(load, {"public.yaml", "vision.patch_size is 29"});
}

class Cube3dFolder : public testing::Test {
 protected:
  PublicFiles gpt() const { return {.weights = small_.gpt, .config = small_.gpt_config, .tokenizer = {}}; }
  PublicFiles text() const { return {.weights = clip_.weights(), .config = {}, .tokenizer = {}}; }

  const PublicCase clip_{"clip"};
  const test::SmallCube3d small_{OMNI_TEST_FIXTURES, clip_ / ""};
};

TEST_F(Cube3dFolder, HoldsGptTextTowerAndShapeTokenizer) {
  const fs::path out = clip_ / "out";
  import_cube3d(gpt(), text(), kCube3d / "tokenizer/shape_tokenizer.safetensors", out);
  const Cube3dModel loaded = load_cube3d(out);
  ASSERT_NE(loaded.shape, nullptr);
  ASSERT_NE(loaded.text->tokenizer(), nullptr);
  const at::Tensor features =
      loaded.text->features(loaded.text->ids({loaded.text->tokenizer()->encode("a chair"), {}}));
  const at::Tensor condition = loaded.gpt->condition(features, at::zeros({2, 3}));
  const auto codes =
      loaded.gpt->greedy_codes(condition.narrow(0, 0, 1), condition.narrow(0, 1, 1), {.steps = 6});
  EXPECT_EQ(codes.at(0).size(), 6u);
  // Its rows of codes are made of the tokenizer's codebook.
  Cube3dGpt original(Cube3dGptConfig::load(clip_ / "gpt.json"),
                     WeightSource(clip_ / "shape_gpt.safetensors"));
  const at::Tensor some = at::arange(5, at::kLong).view({1, 5});
  const at::Tensor rows = condition.narrow(0, 0, 1);
  EXPECT_FALSE(original.logits(rows, some).equal(loaded.gpt->logits(rows, some)));
  original.set_codebook(loaded.shape->geometry_codebook());
  EXPECT_TRUE(original.logits(rows, some).equal(loaded.gpt->logits(rows, some)));
  // A tokenizer of other codes in its place.
  fs::remove_all(out / "shape_tokenizer");
  small_shape(0)->save(out / "shape_tokenizer");
  expect_input_error([&] { load_cube3d(out); }, {"shape_tokenizer", "its codebook is"});
}

// CLIP's features were made by the transformers package, of the texts that stand here.
TEST_F(Cube3dFolder, PromptsAreComparedWithTheTextTowersFeatures) {
  const SafetensorsFile clip(clip_.expected());
  const at::Tensor features = nn::to_tensor(clip.at("text_last_hidden_state"));
  const Cube3dGpt original(Cube3dGptConfig::load(clip_ / "gpt.json"),
                           WeightSource(clip_ / "shape_gpt.safetensors"));
  const at::Tensor text = features.narrow(0, 0, 1), none = features.narrow(0, 2, 1), box = at::zeros({1, 3});
  const at::Tensor codes = at::arange(5, at::kLong).view({1, 5});
  const auto greedy =
      original.greedy_codes(original.condition(text, box), original.condition(none, box), {.steps = 4});
  const auto verify = [&](const std::string& prompts, const at::Tensor& unconditional) {
    const at::Tensor steps =
        at::tensor(std::vector<std::int64_t>(greedy[0].begin(), greedy[0].end())).view({1, 4});
    nn::write_tensors(clip_ / "case.safetensors",
                      {{"text_embed", text},
                       {"uncond_text_embed", unconditional},
                       {"bbox", box},
                       {"shape_ids", codes},
                       {"teacher_forced_logits", original.logits(original.condition(text, box), codes)},
                       {"greedy_ids_full_context", steps}},
                      {{"prompts", prompts}});
    return verify_cube3d({clip_ / "shape_gpt.safetensors", clip_ / "gpt.json", clip_ / "case.safetensors"},
                         {.reference_cache = false, .text = this->text()});
  };
  const Agreement agreement = verify(R"(["a small red chair"])", none);
  EXPECT_TRUE(agreement.holds());
  EXPECT_EQ(agreement.values.size(), 3u);
  EXPECT_FALSE(verify(R"(["a small blue chair"])", none).holds());
  EXPECT_FALSE(verify(R"(["a small red chair"])", text).holds());
  for (const char* no_list : {"a small red chair", "null", "{}", "[1]"})
    EXPECT_THROW(verify(no_list, none), Error) << no_list;
}

// The features are asked of the network itself: 77 rows, the text's tokens and its end.
TEST_F(Cube3dFolder, PromptsAreComparedWithAQwen3sFeatures) {
  const PublicCase qwen("qwen3");
  const PublicFiles tower{.weights = qwen.weights(), .config = {}, .tokenizer = {}};
  import_qwen3(tower, clip_ / "qwen3");
  const Qwen3WithTokenizer qwen3 = load_qwen3(clip_ / "qwen3");
  const std::int32_t end = qwen3.tokenizer->encode("<|endoftext|>").at(0);
  const auto features = [&](const std::string& prompt) {
    at::Tensor ids = at::full({1, 77}, std::int64_t{end}, at::kLong);
    const std::vector<std::int32_t> tokens = qwen3.tokenizer->encode(prompt);
    for (std::size_t i = 0; i < tokens.size(); ++i) ids[0][static_cast<std::int64_t>(i)] = tokens[i];
    return qwen3.network->hidden_states(ids);
  };
  const Cube3dGpt original(Cube3dGptConfig::load(clip_ / "gpt.json"),
                           WeightSource(clip_ / "shape_gpt.safetensors"));
  const at::Tensor text = features("a small red chair"), none = features(""), box = at::zeros({1, 3});
  const at::Tensor codes = at::arange(5, at::kLong).view({1, 5});
  const auto greedy =
      original.greedy_codes(original.condition(text, box), original.condition(none, box), {.steps = 4});
  const auto holds = [&](const std::string& prompt) {
    nn::write_tensors(
        clip_ / "case.safetensors",
        {{"text_embed", text},
         {"uncond_text_embed", none},
         {"bbox", box},
         {"shape_ids", codes},
         {"teacher_forced_logits", original.logits(original.condition(text, box), codes)},
         {"greedy_ids_full_context",
          at::tensor(std::vector<std::int64_t>(greedy[0].begin(), greedy[0].end())).view({1, 4})}},
        {{"prompts", "[\"" + prompt + "\"]"}});
    return verify_cube3d({clip_ / "shape_gpt.safetensors", clip_ / "gpt.json", clip_ / "case.safetensors"},
                         {.reference_cache = false, .text = tower})
        .holds();
  };
  EXPECT_TRUE(holds("a small red chair"));
  EXPECT_FALSE(holds("a small blue chair"));
}

// Damage of what is read in a moment is met before that of what takes long to copy.
TEST_F(Cube3dFolder, BrokenTokenizersAreFoundBeforeWeightsAreCopied) {
  const auto write_broken = [&](const fs::path& source, const std::string& tensor, const std::string& name) {
    const SafetensorsFile file(source);
    const std::vector<float> values(static_cast<std::size_t>(file.at(tensor).element_count()), NAN);
    std::vector<NamedTensorView> tensors;
    for (const auto& [own, view] : file.tensors())
      tensors.push_back({own, own == tensor ? tensor_view(values, view.shape) : view});
    write_safetensors(clip_ / name, tensors);
  };
  const fs::path tokenizer = kCube3d / "tokenizer/shape_tokenizer.safetensors";
  write_broken(small_.gpt, "text_proj.weight", "broken_gpt.safetensors");
  write_broken(tokenizer, "occupancy_decoder.c_head.weight", "broken_shape.safetensors");
  PublicFiles broken = gpt();
  broken.weights = clip_ / "broken_gpt.safetensors";
  const auto import_with = [&](const fs::path& shape) {
    return [&, shape] { import_cube3d(broken, text(), shape, clip_ / "out"); };
  };
  expect_input_error(import_with(tokenizer), {"'text_proj.weight'"});
  expect_input_error(import_with(clip_ / "broken_shape.safetensors"), {"'occupancy_decoder.c_head.weight'"});
  write_file_atomically(clip_.tokenizer(), std::string_view("{\"model\": "));
  expect_input_error(import_with(clip_ / "broken_shape.safetensors"), {"tokenizer.json"});
  write_broken(small_.clip, "text_model.final_layer_norm.weight", "model.safetensors");
  expect_input_error([&] { import_clip(text(), /*text_alone=*/true, clip_ / "out"); }, {"tokenizer.json"});
  EXPECT_FALSE(fs::exists(clip_ / "out"));
}

TEST_F(Cube3dFolder, FindsBothFilesInThePublishersFolder) {
  fs::create_directory(clip_ / "published");
  fs::copy_file(gpt().weights, clip_ / "published" / "shape_gpt.safetensors");
  PublicFiles published = gpt();
  published.weights = clip_ / "published";
  import_cube3d(published, text(), {}, clip_ / "out");
  EXPECT_EQ(load_cube3d(clip_ / "out").shape, nullptr);
  fs::copy_file(kCube3d / "tokenizer/shape_tokenizer.safetensors",
                clip_ / "published" / "shape_tokenizer.safetensors");
  import_cube3d(published, text(), {}, clip_ / "out");
  EXPECT_NE(load_cube3d(clip_ / "out").shape, nullptr);
}

TEST_F(Cube3dFolder, TakesAClipThatWasImportedBefore) {
  import_clip(text(), /*text_alone=*/false, clip_ / "imported");
  import_cube3d(gpt(), {.weights = clip_ / "imported", .config = {}, .tokenizer = {}}, {}, clip_ / "out");
  const Cube3dModel loaded = load_cube3d(clip_ / "out");
  EXPECT_EQ(loaded.shape, nullptr);
  EXPECT_FALSE(load_clip(clip_ / "out/text").network->config().vision.has_value());
  EXPECT_TRUE(loaded.text->features(some_ids())
                  .equal(load_clip(clip_ / "imported").network->text(some_ids()).hidden));
}

// The published GPT's projection is 16 wide, the small Qwen3's features 32.
TEST_F(Cube3dFolder, AQwen3GetsAProjectionOfItsOwnWhichIsKeptOnceItIsThere) {
  const PublicCase qwen("qwen3");
  const PublicFiles published{.weights = kCube3d / "gpt/shape_gpt.safetensors",
                              .config = kCube3d / "gpt/config.json",
                              .tokenizer = {}};
  const PublicFiles text{.weights = qwen.weights(), .config = {}, .tokenizer = {}};
  const fs::path tokenizer = kCube3d / "tokenizer/shape_tokenizer.safetensors";
  const ImportedCube3d first = import_cube3d(published, text, tokenizer, clip_ / "out");
  EXPECT_TRUE(first.fresh_text_projection);
  EXPECT_EQ(first.text_width, 32);
  EXPECT_EQ(public_family(clip_ / "out/text"), PublicFamily::qwen3);

  // It starts as any transformer of these sizes starts it; all else is the publication's.
  const Cube3dParts parts = open_cube3d_parts(clip_ / "out");
  EXPECT_EQ(parts.config.text_width, 32);
  const auto fresh =
      trainable_cube3d(parts.config, nn::ParameterStart(0), parts.tokenizers.shape()->geometry_codebook());
  const WeightSource imported(clip_ / "out/model.safetensors"), original(published.weights);
  const at::Tensor projection = nn::to_tensor(imported.at("text_proj.weight"));
  EXPECT_TRUE(projection.equal(fresh->parameters().find("feature_projection.text.weight")->value));
  EXPECT_GT(projection.std().item<double>(), 0);
  EXPECT_EQ(nn::to_tensor(imported.at("text_proj.bias")).abs().max().item<double>(), 0);
  for (const auto& [name, view] : original.tensors())
    if (!name.starts_with("text_proj"))
      EXPECT_TRUE(nn::to_tensor(imported.at(name)).equal(nn::to_tensor(view))) << name;

  const Cube3dModel loaded = load_cube3d(clip_ / "out");
  const at::Tensor features =
      loaded.text->features(loaded.text->ids({loaded.text->tokenizer()->encode("a chair")}));
  EXPECT_EQ(loaded.gpt->condition(features, at::zeros({1, 3})).size(1), kQwen3TextRows + 1);

  // What was trained on such features is imported with its own projection, whatever the sizes say; here of another folder.
  import_qwen3(text, clip_ / "qwen3");
  const ImportedCube3d again =
      import_cube3d({.weights = clip_ / "out/model.safetensors", .config = published.config, .tokenizer = {}},
                    {.weights = clip_ / "qwen3", .config = {}, .tokenizer = {}}, tokenizer, clip_ / "again");
  EXPECT_FALSE(again.fresh_text_projection);
  EXPECT_EQ(read_file_bytes(clip_ / "again/model.safetensors"),
            read_file_bytes(clip_ / "out/model.safetensors"));
  // Without its tokenizer it reads no text.
  fs::remove(clip_ / "qwen3/tokenizer.json");
  expect_input_error(
      [&] {
        import_cube3d(published, {.weights = clip_ / "qwen3", .config = {}, .tokenizer = {}}, tokenizer,
                      clip_ / "never");
      },
      {"as a text tower: it has no tokenizer.json"});
}

TEST_F(Cube3dFolder, PartsThatDoNotBelongTogetherAreNamed) {
  const PublicFiles narrow{.weights = kCube3d / "gpt/shape_gpt.safetensors",
                           .config = kCube3d / "gpt/config.json",
                           .tokenizer = {}};
  expect_input_error([&] { import_cube3d(narrow, text(), {}, clip_ / "out"); },
                     {"the text tower has the width 32, the GPT expects 16"});
  // Without a configuration the sizes are the published ones.
  PublicFiles published = gpt();
  published.config.clear();
  expect_input_error([&] { import_cube3d(published, text(), {}, clip_ / "out"); }, {"expects 768"});
  EXPECT_FALSE(fs::exists(clip_ / "out"));
}

}  // namespace
}  // namespace omni::model
