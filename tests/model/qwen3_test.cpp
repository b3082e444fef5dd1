#include "omni/model/qwen3.h"

#include <cmath>
#include <limits>

#include "omni/model/verify_public.h"
#include "omni/nn/parameters.h"
#include "public_case.h"
#include "unread_tensor.h"

namespace omni::model {
namespace {

class Qwen3Test : public testing::Test {
 protected:
  Agreement verify() const { return verify_qwen3(files.reference(), files.tokenizer()); }
  void expect_refusal(const std::vector<std::string>& words) const {
    expect_input_error([&] { verify(); }, words);
  }
  const PublicCase files{"qwen3"};
};

TEST_F(Qwen3Test, LogitsGreedyTokensAndTokenisationAreTheReferences) {
  const Agreement agreement = verify();
  EXPECT_TRUE(agreement.holds());
  ASSERT_EQ(agreement.values.size(), 1u);
  EXPECT_LT(agreement.values[0].largest, 1e-4);
  ASSERT_EQ(agreement.sequences.size(), 2u);
  EXPECT_EQ(agreement.sequences[0].equal, 2 * 12);
  EXPECT_GT(agreement.sequences[1].equal, 300);
}

TEST_F(Qwen3Test, AnotherModelDisagrees) {
  std::vector<float> changed;
  files.rewrite([&](PublicCase::Tensors& tensors) {
    TensorView& view = tensors.at("model.layers.1.self_attn.k_norm.weight");
    changed = view.to_vector<float>();
    changed[0] += 1;
    view = tensor_view(changed, view.shape);
  });
  const Agreement agreement = verify();
  EXPECT_FALSE(agreement.holds());
  EXPECT_GT(agreement.values.at(0).largest, 1e-4);
}

TEST_F(Qwen3Test, ShardsBehindAnIndexAreTheSameModel) {
  files.rewrite(
      [](PublicCase::Tensors& t) {
        std::erase_if(t, [](const auto& i) { return i.first < "model.layers.1"; });
      },
      "b.safetensors");
  files.rewrite(
      [](PublicCase::Tensors& t) {
        std::erase_if(t, [](const auto& i) { return i.first >= "model.layers.1"; });
      },
      "a.safetensors");
  std::string map;
  for (const char* file : {"a.safetensors", "b.safetensors"}) {
    const SafetensorsFile shard(files / file);
    for (const auto& [name, view] : shard.tensors())
      map += concat(map.empty() ? "" : ",", '"', name, "\":\"", file, '"');
  }
  const auto index = files / "model.safetensors.index.json";
  write_file_atomically(index, std::string_view("{\"weight_map\":{" + map + "}}"));
  EXPECT_TRUE(verify_qwen3({index, files.config(), files.expected()}).holds());
}

TEST_F(Qwen3Test, HalfPrecisionFilesAreWidened) {
  for (const at::ScalarType type : {at::kHalf, at::kBFloat16}) {
    std::vector<at::Tensor> held;
    files.rewrite([&](PublicCase::Tensors& tensors) {
      for (auto& [name, view] : tensors) {
        held.push_back(nn::to_tensor(view).to(type));
        view = nn::view_of(held.back());
      }
    });
    const Qwen3 narrow(Qwen3Config::load(files.config()), WeightSource(files.weights()));
    std::size_t i = 0;
    files.rewrite([&](PublicCase::Tensors& tensors) {
      for (auto& [name, view] : tensors) {
        held[i] = held[i].to(at::kFloat);
        view = nn::view_of(held[i++]);
      }
    });
    const Qwen3 wide(Qwen3Config::load(files.config()), WeightSource(files.weights()));
    const at::Tensor ids = at::arange(5, at::kLong).view({1, 5});
    EXPECT_TRUE(narrow.logits(ids).equal(wide.logits(ids))) << type;
  }
}

TEST_F(Qwen3Test, TensorsThatDoNotFitAreNamedWithWhatWasExpected) {
  const std::string name = "model.layers.0.mlp.up_proj.weight";
  files.rewrite([&](PublicCase::Tensors& tensors) { tensors.erase(name); });
  expect_refusal({"'" + name + "' is missing", "[72, 32]"});
  files.rewrite([&](PublicCase::Tensors& tensors) { tensors.at(name).shape = {32, 72}; });
  expect_refusal({"'" + name + "' has the shape [32, 72], the configuration expects [72, 32]"});
  files.rewrite(
      [&](PublicCase::Tensors& tensors) { tensors["model.layers.2.mlp.up_proj.weight"] = tensors.at(name); });
  expect_refusal({"no place for the tensor 'model.layers.2.mlp.up_proj.weight' of shape [72, 32]",
                  "such as 'model.layers."});
  for (const float broken : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
    std::vector<float> values;
    files.rewrite([&](PublicCase::Tensors& tensors) {
      values = tensors.at(name).to_vector<float>();
      values[7] = broken;
      tensors[name] = tensor_view(values, {72, 32});
    });
    expect_refusal({"element 7 of the tensor '" + name + "' of shape [72, 32] is"});
  }
  const std::vector<std::int64_t> integers(72 * 32);
  files.rewrite([&](PublicCase::Tensors& tensors) { tensors[name] = tensor_view(integers, {72, 32}); });
  expect_refusal({"'" + name + "' has the type I64"});
}

// What trainers leave beside the weights is no error.
TEST_F(Qwen3Test, TensorsThatAreNoWeightsAreLeftAlone) {
  const std::vector<std::int64_t> positions{0, 1, 2};
  files.rewrite([&](PublicCase::Tensors& tensors) {
    tensors["position_ids"] = tensor_view(positions, {3});
    tensors["lm_head.weight"] = tensors.at("model.embed_tokens.weight");  // tied: the same once more
  });
  EXPECT_TRUE(verify().holds());
  test::copy_with_unread_tensor(files.weights(), files / "with_step.safetensors");
  EXPECT_TRUE(verify_qwen3({files / "with_step.safetensors", files.config(), files.expected()}).holds());
}

TEST_F(Qwen3Test, AForgedConfigAllocatesNothing) {
  const std::vector<std::pair<std::string, std::string>> forged = {
      {"\"hidden_size\": 32", "\"hidden_size\": 65536"},
      {"\"vocab_size\": 382", "\"vocab_size\": 16777216"},
      {"\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1000"},
      {"\"intermediate_size\": 72", "\"intermediate_size\": 1048576"},
      {"\"head_dim\": 16", "\"head_dim\": 65536"}};
  for (const auto& [from, to] : forged) {
    files.replace_in_config(from, to);
    expect_refusal({"onfiguration expects"});
  }
  for (const auto& [from, to] :
       std::vector<std::pair<std::string, std::string>>{{"\"hidden_size\": 32", "\"hidden_size\": 1e300"},
                                                        {"\"hidden_size\": 32", "\"hidden_size\": -1"},
                                                        {"\"hidden_size\": 32", "\"hidden_size\": \"wide\""},
                                                        {"\"hidden_size\": 32", "\"hidden_width\": 32"}}) {
    files.replace_in_config(from, to);
    expect_refusal({"hidden_size must be a whole number"});
  }
  files.replace_in_config("\"rope_scaling\": null",
                          "\"rope_scaling\": " + std::string(1000, '[') + std::string(1000, ']'));
  expect_refusal({"nested too deeply"});
}

TEST_F(Qwen3Test, WhatHasNoNetworkHereIsNamed) {
  for (const auto& [from, to, words] : std::vector<std::array<std::string, 3>>{
           {"\"attention_bias\": false", "\"attention_bias\": true", "attention_bias is true"},
           {"\"use_sliding_window\": false", "\"use_sliding_window\": true", "use_sliding_window is true"},
           {"\"rope_scaling\": null", "\"rope_scaling\": {\"rope_type\": \"yarn\"}",
            "rope_scaling.rope_type is \"yarn\""},
           {"\"hidden_act\": \"silu\"", "\"hidden_act\": \"gelu\"", "hidden_act is \"gelu\""},
           {"\"num_hidden_layers\": 2", "\"num_hidden_layers\": 2, \"num_experts\": 8", "num_experts is 8"},
           {"\"num_hidden_layers\": 2", "\"num_hidden_layers\": 2, \"num_local_experts\": 4",
            "num_local_experts is 4"},
           {"\"num_hidden_layers\": 2", "\"num_hidden_layers\": 2, \"moe_intermediate_size\": 48",
            "moe_intermediate_size is 48"},
           {"\"model_type\": \"qwen3\"", "\"model_type\": \"qwen3_moe\"", "model_type is \"qwen3_moe\""}}) {
    files.replace_in_config(from, to);
    expect_refusal({words});
  }
  files.replace_in_config("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 2, \"num_experts\": 0");
  EXPECT_TRUE(verify().holds());
  // Newer versions of the publisher's library write the angle so.
  files.replace_in_config("\"rope_theta\": 1000000.0",
                          "\"rope_parameters\": {\"rope_type\": \"default\", \"rope_theta\": 1e6}");
  EXPECT_TRUE(verify().holds());
}

TEST_F(Qwen3Test, ExpectedFilesThatDoNotFitAreNamed) {
  files.replace_expected([](PublicCase::Tensors& tensors) { tensors.erase("greedy_ids"); });
  expect_refusal({files.expected().string(), "'greedy_ids' is missing", "in the shape [2, -1]",
                  "Give a file with the reference's inputs and outputs"});
  std::vector<std::int64_t> ids;
  for (const std::int64_t wrong : {std::int64_t{-1}, std::int64_t{382}}) {
    files.replace_expected([&](PublicCase::Tensors& tensors) {
      TensorView& view = tensors.at("input_ids");
      ids = view.to_vector<std::int64_t>();
      ids[4] = wrong;
      view = tensor_view(ids, view.shape);
    });
    expect_refusal({files.expected().string(), concat("element 4 of the tensor 'input_ids' is ", wrong),
                    "from 0 to 381"});
  }
}

TEST_F(Qwen3Test, AnEncoderAloneIsTheSameWithoutThePrefix) {
  const Qwen3Config config = Qwen3Config::load(files.config());
  const Qwen3 whole(config, WeightSource(files.weights()));
  files.rewrite([](PublicCase::Tensors& tensors) {
    PublicCase::Tensors renamed;
    for (const auto& [name, view] : tensors) renamed[name.substr(std::string("model.").size())] = view;
    tensors = renamed;
  });
  const Qwen3 encoder(config, WeightSource(files.weights()));
  const at::Tensor ids = at::arange(9, at::kLong).view({1, 9});
  EXPECT_TRUE(encoder.hidden_states(ids).equal(whole.hidden_states(ids)));
  EXPECT_THROW(whole.hidden_states(at::full({1, 1}, 382, at::kLong)), Error);
  EXPECT_THROW(whole.hidden_states(at::full({1, 1}, -1, at::kLong)), Error);
}

}  // namespace
}  // namespace omni::model
