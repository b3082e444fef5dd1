#include "omni/tokenizers/cube3d_tokenizer.h"
#include "omni/tokenizers/shape_tokenizer_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <map>

#include "omni/core/error.h"
#include "omni/core/files.h"
#include "refusal.h"
#include "temporary_directory.h"
#include "unread_tensor.h"

namespace omni::tokenizers {
namespace {

using at::Tensor;
namespace fs = std::filesystem;

class Cube3dTokenizer : public ::testing::Test {
 protected:
  const fs::path reference_ = fs::path(OMNI_TEST_FIXTURES) / "tiny/cube3d/tokenizer";
  const fs::path weights_ = reference_ / "shape_tokenizer.safetensors";
  const fs::path config_ = reference_ / "config.json";
  const fs::path expected_ = reference_ / "expected.safetensors";
  const test::TemporaryDirectory folder_;

  // A copy of `source` after `change`.
  fs::path changed(const fs::path& source,
                   const std::function<void(std::map<std::string, Tensor>&)>& change) {
    const SafetensorsFile file(source);
    std::map<std::string, Tensor> tensors;
    for (const auto& [name, view] : file.tensors()) tensors[name] = nn::to_tensor(view);
    change(tensors);
    std::vector<NamedTensorView> views;
    for (const auto& [name, tensor] : tensors) views.push_back({name, nn::view_of(tensor)});
    const fs::path path = folder_ / "changed.safetensors";
    write_safetensors(path, views);
    return path;
  }
};

TEST_F(Cube3dTokenizer, SizesAreReadOffTheFile) {
  const auto config = cube3d_tokenizer_config(SafetensorsFile(weights_));
  EXPECT_EQ(config.latents, 8);
  EXPECT_TRUE(config.class_token);
  EXPECT_EQ(config.width, 32);
  EXPECT_EQ(config.heads, 2);
  EXPECT_EQ(config.frequencies, 8);
  EXPECT_EQ(config.encoder_layers, 2);
  EXPECT_EQ(config.encoder_cross_attention_layers, (std::vector<std::int64_t>{0}));
  EXPECT_EQ(config.decoder_layers, 1);
  EXPECT_EQ(config.quantiser.codebook_size, 32);
  EXPECT_EQ(config.quantiser.codebook_dim, 8);
  EXPECT_EQ(config.surface_points, 8192);
}

// The public files' layouts, at a small width: how many tensors there are does not depend on it. v0.5's file
// is known to hold 483.
TEST_F(Cube3dTokenizer, BothPublicVersionsAreReadBackFromTheirLayout) {
  for (const std::int64_t latents : {512, 1024}) {  // v0.1, v0.5
    VecsetShapeConfig config;
    config.latents = latents;
    config.width = 48;
    config.heads = 12;
    config.frequencies = 8;
    config.encoder_layers = 13;
    config.encoder_cross_attention_layers = {0, 2, 4, 8};
    config.decoder_layers = 24;
    config.quantiser.kind = "spherical";
    config.quantiser.codebook_size = 64;
    config.quantiser.codebook_dim = 32;
    const VecsetShapeTokenizer made(config, 2);
    const fs::path file = folder_ / "weights.safetensors";
    made.network().parameters().save(file);
    EXPECT_EQ(SafetensorsFile(file).tensors().size(), 483u);
    const auto imported = import_cube3d_tokenizer(file);
    const VecsetShapeConfig& read = imported->network().config();
    EXPECT_EQ(read.latents, latents);
    EXPECT_EQ(read.heads, 12);
    EXPECT_EQ(read.encoder_layers, 13);
    EXPECT_EQ(read.encoder_cross_attention_layers, config.encoder_cross_attention_layers);
    EXPECT_EQ(read.decoder_layers, 24);
    EXPECT_EQ(imported->offered_lengths(), (std::vector<std::int64_t>{latents}));
    EXPECT_TRUE(at::equal(imported->geometry_codebook(), made.geometry_codebook()));
  }
}

TEST_F(Cube3dTokenizer, Bf16IsMeasuredAgainstTheReference) {
  const auto agreement = verify_cube3d_tokenizer(weights_, config_, expected_, at::kBFloat16);
  EXPECT_GT(agreement.equal_indices, agreement.index_count / 2);
  EXPECT_GT(agreement.largest_field_error, 1e-4);
  EXPECT_FALSE(agreement.field_agrees());
}

TEST_F(Cube3dTokenizer, ImportedFolderHoldsTheSameNetwork) {
  const auto imported = import_cube3d_tokenizer(weights_);
  imported->save(folder_ / "imported");
  const auto loaded = load_shape_tokenizer(folder_ / "imported");
  EXPECT_EQ(loaded->geometry_code_count(), 8);
  EXPECT_TRUE(at::equal(loaded->geometry_codebook(), imported->geometry_codebook()));
  ShapeCodes codes;
  codes.geometry = {3, 1, 4, 1, 5, 9, 2, 6};
  const std::vector<geometry::Vec3> points = {{0.1f, 0.2f, 0.3f}, {-0.9f, 0.4f, 1.0f}};
  std::vector<float> a(2), b(2);
  imported->decode(std::span(&codes, 1))[0]->values(points, a);
  loaded->decode(std::span(&codes, 1))[0]->values(points, b);
  EXPECT_EQ(a, b);
}

TEST_F(Cube3dTokenizer, ValuesThatAreNotFiniteAreNamed) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN(), kInfinity = INFINITY;
  for (const auto& [name, wrong] :
       std::map<std::string, float>{{"bottleneck.block.codebook.weight", kNan},
                                    {"occupancy_decoder.c_head.weight", kInfinity},
                                    {"occupancy_decoder.ln_f.bias", kNan},
                                    {"bottleneck.block.c_x.bias", -kInfinity}}) {
    const fs::path file = changed(weights_, [&](auto& tensors) { tensors[name].view({-1})[3].fill_(wrong); });
    EXPECT_THAT(test::input_refusal([&] { import_cube3d_tokenizer(file); }),
                testing::AllOf(testing::HasSubstr(file.string()),
                               testing::HasSubstr("element 3 of the tensor '" + name + "'")));
    EXPECT_NO_THROW(require_fitting_cube3d_tokenizer(file)) << "no value is read";
  }
  // Also where it lies in a folder of ours.
  import_cube3d_tokenizer(weights_)->save(folder_ / "stored");
  fs::rename(
      changed(folder_ / "stored/weights.safetensors",
              [](auto& tensors) { tensors["decoder.positional_encodings"].view({-1})[5].fill_(kNan); }),
      folder_ / "stored/weights.safetensors");
  EXPECT_THAT(test::input_refusal([&] { load_shape_tokenizer(folder_ / "stored"); }),
              testing::HasSubstr("element 5 of the tensor 'decoder.positional_encodings'"));
}

TEST_F(Cube3dTokenizer, TensorsThatDoNotFitAreNamedBeforeAnyIsRead) {
  const std::string name = "encoder.blocks.1.attn.c_proj.weight";
  const auto refusals = [&](const std::function<void(std::map<std::string, Tensor>&)>& change) {
    const fs::path file = changed(weights_, change);
    const std::string refusal = test::input_refusal([&] { import_cube3d_tokenizer(file); });
    EXPECT_EQ(test::input_refusal([&] { require_fitting_cube3d_tokenizer(file); }), refusal);
    // The config of a stored one says the sizes.
    import_cube3d_tokenizer(weights_)->save(folder_ / "stored");
    fs::copy_file(file, folder_ / "stored/weights.safetensors", fs::copy_options::overwrite_existing);
    EXPECT_NE(test::input_refusal([&] { require_fitting_shape_tokenizer(folder_ / "stored"); }), "");
    return refusal;
  };
  EXPECT_THAT(refusals([&](auto& tensors) { tensors.erase(name); }),
              testing::HasSubstr("'" + name + "' is missing. The network expects it in the shape [32, 32]"));
  EXPECT_THAT(refusals([&](auto& tensors) {
                tensors[name] = at::zeros({32, 31});
              }),
              testing::HasSubstr("tensor " + name + " has shape [32, 31]"));
  EXPECT_THAT(refusals([&](auto& tensors) { tensors["more"] = at::zeros({2}); }),
              testing::HasSubstr("tensor more has no place"));
  import_cube3d_tokenizer(weights_)->save(folder_ / "stored");
  for (const CodebookSize& size :
       {require_fitting_cube3d_tokenizer(weights_), require_fitting_shape_tokenizer(folder_ / "stored")}) {
    EXPECT_EQ(size.codes, 32);
    EXPECT_EQ(size.dimension, 8);
  }
}

// What trainers leave beside the weights, of types that nothing here computes with.
TEST_F(Cube3dTokenizer, OtherTensorsBesideItAreLeftAlone) {
  const test::TemporaryDirectory folder;
  for (const auto& [type, bytes] :
       std::map<std::string, std::size_t>{{"U16", 4}, {"U64", 16}, {"F8_E4M3", 2}, {"C64", 16}}) {
    test::copy_with_unread_tensor(weights_, folder / "with_step.safetensors", type, bytes);
    EXPECT_NO_THROW(import_cube3d_tokenizer(folder / "with_step.safetensors")) << type;
  }
}

TEST_F(Cube3dTokenizer, AgreesWithTheReference) {
  const auto agreement = verify_cube3d_tokenizer(weights_, config_, expected_);
  EXPECT_GT(agreement.index_count, 0);
  EXPECT_EQ(agreement.equal_indices, agreement.index_count);
  EXPECT_TRUE(agreement.indices_agree());
  EXPECT_TRUE(agreement.field_agrees());
  EXPECT_GT(agreement.field_count, 0);
}

TEST_F(Cube3dTokenizer, LargerCaseAgrees) {
  const fs::path larger = fs::path(OMNI_SHARED_DIR) / "fixtures/cube3d/tokenizer";
  if (!fs::exists(larger)) GTEST_SKIP() << "the larger reference case is not here: " << larger;
  const auto agreement = verify_cube3d_tokenizer(larger / "shape_tokenizer.safetensors",
                                                 larger / "config.json", larger / "expected.safetensors");
  EXPECT_TRUE(agreement.indices_agree());
  EXPECT_TRUE(agreement.field_agrees());
}

TEST_F(Cube3dTokenizer, AnotherIndexIsFoundAndPlaced) {
  const fs::path other = changed(expected_, [](auto& tensors) {
    Tensor index = tensors["indices"][0][5];
    index.copy_((index + 1) % 32);
  });
  const auto agreement = verify_cube3d_tokenizer(weights_, config_, other);
  EXPECT_EQ(agreement.equal_indices, agreement.index_count - 1);
  EXPECT_FALSE(agreement.indices_agree());
  ASSERT_TRUE(agreement.first_other_index.has_value());
  EXPECT_EQ(agreement.first_other_index->row, 0);
  EXPECT_EQ(agreement.first_other_index->latent, 5);
  EXPECT_GT(agreement.first_other_index->expected_distance, agreement.first_other_index->found_distance);
}

TEST_F(Cube3dTokenizer, AnotherCodeAtTheSameDistanceIsATie) {
  // Two equal codebook rows: whichever is named, the distance is the same.
  const Tensor indices = nn::to_tensor(SafetensorsFile(expected_).at("indices"));
  const auto used = indices[0][0].item<std::int64_t>(), twin = (used + 1) % 32;
  const fs::path doubled = folder_ / "doubled.safetensors";
  fs::rename(changed(weights_,
                     [&](auto& tensors) {
                       Tensor rows = tensors["bottleneck.block.codebook.weight"];
                       rows[twin].copy_(rows[used]);
                     }),
             doubled);
  const fs::path renamed = changed(expected_, [&](auto& tensors) {
    Tensor all = tensors["indices"];
    all.copy_(at::where(all.eq(used), twin, all));
  });
  const auto agreement = verify_cube3d_tokenizer(doubled, config_, renamed);
  EXPECT_EQ(agreement.ties + agreement.equal_indices, agreement.index_count);
  EXPECT_TRUE(agreement.indices_agree());
}

TEST_F(Cube3dTokenizer, FieldErrorsAreFoundAndPlacedNotANumberToo) {
  for (const float wrong : {0.5f, std::numeric_limits<float>::quiet_NaN()}) {
    const fs::path other = changed(expected_, [&](auto& tensors) { tensors["logits"][0][7] += wrong; });
    const auto agreement = verify_cube3d_tokenizer(weights_, config_, other);
    EXPECT_TRUE(agreement.indices_agree());
    EXPECT_FALSE(agreement.field_agrees());
    EXPECT_EQ(agreement.largest_error_at.row, 0);
    EXPECT_EQ(agreement.largest_error_at.query, 7);
  }
}

TEST_F(Cube3dTokenizer, FilesThatDoNotBelongTogetherAreRefused) {
  const auto refused = [&](const fs::path& weights, const fs::path& config, const fs::path& expected) {
    EXPECT_THROW(verify_cube3d_tokenizer(weights, config, expected), Error);
  };
  refused(expected_, config_, expected_);
  refused(weights_, config_, weights_);
  refused(weights_, weights_, expected_);
  const fs::path other_config = folder_ / "config.json";
  std::string text = read_file_text(config_);
  text.replace(text.find("\"width\": 32"), 11, "\"width\": 64");
  write_file_atomically(other_config, std::string_view(text));
  refused(weights_, other_config, expected_);
  refused(weights_, config_, changed(expected_, [](auto& t) { t["indices"][0][0] = 32; }));
  refused(weights_, config_,
          changed(expected_, [](auto& t) { t["queries"] = t["queries"].narrow(1, 0, 3).contiguous(); }));
  refused(changed(weights_, [](auto& t) { t.erase("encoder.blocks.1.attn.c_v.weight"); }), config_,
          expected_);
}

}  // namespace
}  // namespace omni::tokenizers
