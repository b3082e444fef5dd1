#include "omni/model/clip.h"

#include <sstream>

#include "omni/core/json_text.h"
#include "omni/model/verify_public.h"
#include "omni/nn/parameters.h"
#include "public_case.h"

namespace omni::model {
namespace {

class ClipTest : public testing::Test {
 protected:
  const PublicCase files{"clip"};
};

TEST_F(ClipTest, BothTowersAndTheTokenisationAreTheReferences) {
  const Agreement agreement = verify_clip(files.reference(), files.tokenizer());
  EXPECT_TRUE(agreement.holds());
  EXPECT_EQ(agreement.values.size(), 6u);
  for (const ValueAgreement& values : agreement.values) EXPECT_LT(values.largest, 1e-4) << values.name;
  ASSERT_EQ(agreement.sequences.size(), 1u);
  EXPECT_GT(agreement.sequences[0].equal, 300);
}

TEST_F(ClipTest, TheWrongActivationDisagrees) {
  files.replace_in_config("\"hidden_act\": \"quick_gelu\"", "\"hidden_act\": \"gelu\"");
  EXPECT_FALSE(verify_clip(files.reference()).holds());
  files.replace_in_config("\"hidden_act\": \"quick_gelu\"", "\"hidden_act\": \"relu\"");
  expect_input_error([&] { verify_clip(files.reference()); },
                     {"text_config.hidden_act is \"relu\"", "quick_gelu or gelu"});
}

// Cube3D reads a file of both towers and needs one.
TEST_F(ClipTest, TheTextTowerAloneIsTheSame) {
  const WeightSource weights(files.weights());
  ClipConfig config = ClipConfig::load(files.config(), weights);
  const Clip both(config, weights);
  config.vision.reset();
  const Clip text(config, weights);
  EXPECT_LT(text.parameters().element_count(), both.parameters().element_count());
  const at::Tensor ids = nn::to_tensor(SafetensorsFile(files.expected()).at("input_ids"));
  EXPECT_TRUE(text.text(ids).hidden.equal(both.text(ids).hidden));
  EXPECT_THROW(text.text(ids + config.text->vocabulary), Error);
}

TEST_F(ClipTest, FilesOfOneTowerMayLeaveItsNameOut) {
  const at::Tensor ids = nn::to_tensor(SafetensorsFile(files.expected()).at("input_ids"));
  ClipConfig config = ClipConfig::load(files.config(), WeightSource(files.weights()));
  config.vision.reset();
  const at::Tensor hidden = Clip(config, WeightSource(files.weights())).text(ids).hidden;
  files.rewrite([](PublicCase::Tensors& tensors) {
    const std::string tower = "text_model.";
    PublicCase::Tensors renamed;
    for (const auto& [name, view] : tensors)
      if (name.starts_with(tower)) renamed[name.substr(tower.size())] = view;
    tensors = renamed;
  });
  config.text->projection = 0;
  EXPECT_TRUE(Clip(config, WeightSource(files.weights())).text(ids).hidden.equal(hidden));
}

// As the reference's tokenizer cuts off and fills.
TEST_F(ClipTest, PromptsAreCutOffAndFilledLikeTheReferences) {
  const WeightSource weights(files.weights());
  const ClipConfig config = ClipConfig::load(files.config(), weights);
  const auto tokenizer = tokenizers::TextTokenizer::load(files.tokenizer());
  std::string longer;
  for (int i = 0; i < 12; ++i) longer += "a very tall wooden table with four legs and a ";
  const at::Tensor ids = clip_prompt_ids(tokenizer, *config.text, {"a small red chair", longer, ""});
  EXPECT_TRUE(ids.equal(nn::to_tensor(SafetensorsFile(files.expected()).at("input_ids"))));
}

// Of old files: the end has the largest id, whatever the config calls it.
TEST_F(ClipTest, OldConfigsPoolAtTheLargestId) {
  const WeightSource weights(files.weights());
  ClipConfig config = ClipConfig::load(files.config(), weights);
  const at::Tensor ids = nn::to_tensor(SafetensorsFile(files.expected()).at("input_ids"));
  const at::Tensor pooled = Clip(config, weights).text(ids).pooled;
  config.text->end_token = 2;
  EXPECT_TRUE(Clip(config, weights).text(ids).pooled.equal(pooled));
}

TEST_F(ClipTest, TensorsThatDoNotFitAreNamed) {
  const std::string name = "vision_model.embeddings.patch_embedding.weight";
  const auto verify = [&] { verify_clip(files.reference()); };
  files.rewrite([&](PublicCase::Tensors& tensors) { tensors.erase(name); });
  expect_input_error(verify, {"'" + name + "' is missing", "[48, 3, 7, 7]"});
  files.rewrite([&](PublicCase::Tensors& tensors) { tensors[name + "s"] = tensors.at(name); });
  expect_input_error(verify, {"no place for the tensor '" + name + "s'"});
  files.rewrite([](PublicCase::Tensors&) {});
  files.replace_in_config("\"image_size\": 28", "\"image_size\": 65536");
  expect_input_error(verify, {"position_embedding.weight", "the configuration expects"});
  files.replace_in_config("\"patch_size\": 7", "\"patch_size\": 29");
  expect_input_error(verify, {"vision_config.patch_size"});
}

TEST_F(ClipTest, IdsBeyondTheVocabularyAreNamed) {
  std::vector<std::int64_t> ids;
  files.replace_expected([&](PublicCase::Tensors& tensors) {
    TensorView& view = tensors.at("input_ids");
    ids = view.to_vector<std::int64_t>();
    ids[2] = 1 << 20;
    view = tensor_view(ids, view.shape);
  });
  expect_input_error([&] { verify_clip(files.reference()); },
                     {files.expected().string(), "element 2 of the tensor 'input_ids' is 1048576"});
}

// The small case's tokenizer.json with CLIP's own 49,408 tokens in place of its own; see
// benchmarks/peers/make_clip_vocabulary.py, which gave the ids in the same way.
std::string published_tokenizer(const std::filesystem::path& small,
                                const std::filesystem::path& merges_file) {
  nlohmann::json described = parse_json(read_file_text(small));
  nlohmann::json& model = described["model"];
  nlohmann::json names;  // the first 512 are bytes, alone and at the end of a word
  for (const auto& [name, id] : model["vocab"].items())
    if (id < 512) names[name] = id;
  model["merges"] = nlohmann::json::array();
  std::istringstream lines(read_file_text(merges_file));
  for (std::string first, second; lines >> first >> second;) {
    names[first + second] = 512 + model["merges"].size();
    model["merges"].push_back({first, second});
  }
  std::size_t next = 512 + model["merges"].size();
  described["post_processor"]["cls"][1] = next;
  for (nlohmann::json& token : described["added_tokens"]) {
    token["id"] = next;
    names[token["content"].get<std::string>()] = next++;
  }
  described["post_processor"]["sep"][1] = next - 1;
  model["vocab"] = names;
  return json_text(described);
}

TEST(ClipVocabulary, ThePublishedOneGivesTheReferencesIds) {
  const std::filesystem::path fixtures = std::filesystem::path(OMNI_TEST_FIXTURES) / "public";
  const test::TemporaryDirectory folder;
  write_file_atomically(folder / "tokenizer.json",
                        std::string_view(published_tokenizer(fixtures / "clip/tokenizer.json",
                                                             fixtures / "clip_vocabulary/merges.txt")));
  const auto tokenizer = tokenizers::TextTokenizer::load(folder / "tokenizer.json");
  EXPECT_EQ(tokenizer.vocabulary_size(), 49408);
  const auto expected = parse_json(read_file_text(fixtures / "clip_vocabulary/expected.json"));
  EXPECT_GT(expected.size(), 300u);
  for (const nlohmann::json& row : expected) {
    const std::string text = row.at("text");
    EXPECT_EQ(tokenizer.encode(text, /*with_special_tokens=*/true),
              row.at("ids").get<std::vector<std::int32_t>>())
        << text;
  }
  // As every user of CLIP knows it.
  EXPECT_EQ(tokenizer.encode("a photo of a cat", true),
            (std::vector<std::int32_t>{49406, 320, 1125, 539, 320, 2368, 49407}));
}

}  // namespace
}  // namespace omni::model
