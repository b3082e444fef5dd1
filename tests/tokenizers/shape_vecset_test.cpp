#include "omni/tokenizers/shape_vecset.h"

#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>

#include "omni/core/error.h"
#include "temporary_directory.h"

namespace omni::tokenizers {
namespace {

using at::Tensor;
namespace fs = std::filesystem;

// The sizes in the fixtures' config.json, read without a JSON parser: numbers by key.
std::int64_t number_of(const std::string& json, const std::string& key) {
  const auto at = json.find("\"" + key + "\"");
  if (at == std::string::npos) throw std::runtime_error("no key " + key);
  return std::stoll(json.substr(json.find(':', at) + 1));
}

VecsetShapeConfig read_config(const fs::path& path) {
  std::ifstream in(path);
  const std::string json((std::istreambuf_iterator<char>(in)), {});
  VecsetShapeConfig config;
  config.latents = number_of(json, "num_encoder_latents");
  config.width = number_of(json, "width");
  config.heads = number_of(json, "num_heads");
  config.frequencies = number_of(json, "num_freqs");
  config.encoder_layers = number_of(json, "num_encoder_layers");
  config.decoder_layers = number_of(json, "num_decoder_layers");
  config.quantiser.kind = "spherical";
  config.quantiser.codebook_size = number_of(json, "num_codes");
  config.quantiser.codebook_dim = number_of(json, "embed_dim");
  config.encoder_cross_attention_layers.clear();
  const auto open = json.find('[', json.find("encoder_cross_attention_levels"));
  std::stringstream levels(json.substr(open + 1, json.find(']', open) - open - 1));
  for (std::string item; std::getline(levels, item, ',');)
    config.encoder_cross_attention_layers.push_back(std::stoll(item));
  return config;
}

double largest_difference(const Tensor& a, const Tensor& b) {
  EXPECT_EQ(a.sizes(), b.sizes());
  return (a - b).abs().max().item<double>();
}

void expect_reference(const fs::path& folder) {
  c10::NoGradGuard no_grad;
  VecsetShapeNetwork network(read_config(folder / "config.json"));
  network.load(SafetensorsFile(folder / "shape_tokenizer.safetensors"));
  const SafetensorsFile expected(folder / "expected.safetensors");
  const auto reference = [&](const char* name) { return nn::to_tensor(expected.at(name)); };

  constexpr double kTolerance = 1e-4;
  EXPECT_LT(largest_difference(network.embed(reference("queries")), reference("embedded_queries")),
            kTolerance);
  const auto encoded = network.encode(reference("surface"));
  EXPECT_LT(largest_difference(encoded.latents, reference("z_e")), kTolerance);
  EXPECT_LT(largest_difference(encoded.class_token, reference("z_cls")), kTolerance);
  EXPECT_LT(largest_difference(network.quantiser().codebook(), reference("codebook")), kTolerance);
  const Tensor indices = network.quantiser().nearest(network.prepared(encoded.latents));
  EXPECT_TRUE(at::equal(indices, reference("indices")));
  const Tensor latents = network.decode(network.quantiser().lookup(indices));
  EXPECT_LT(largest_difference(latents, reference("latents")), kTolerance);
  EXPECT_LT(largest_difference(network.field(latents, reference("queries")), reference("logits")),
            kTolerance);
}

TEST(VecsetReference, TinyCaseMatches) {
  expect_reference(fs::path(OMNI_TEST_FIXTURES) / "tiny/cube3d/tokenizer");
}

TEST(VecsetReference, LargerCaseMatches) {
  const fs::path folder = fs::path(OMNI_SHARED_DIR) / "fixtures/cube3d/tokenizer";
  if (!fs::exists(folder)) GTEST_SKIP() << "the larger reference case is not here: " << folder;
  expect_reference(folder);
}

class VecsetFile : public ::testing::Test {
 protected:
  // The tiny reference weights with tensors renamed or dropped (empty new name).
  fs::path rewrite(const std::string& from, const std::string& to) {
    const SafetensorsFile file(reference_ / "shape_tokenizer.safetensors");
    std::vector<NamedTensorView> views;
    for (const auto& [name, view] : file.tensors()) {
      const std::string target = name == from ? to : name;
      if (!target.empty()) views.push_back({target, view});
    }
    write_safetensors(folder_ / "weights.safetensors", views);
    return folder_ / "weights.safetensors";
  }

  const fs::path reference_ = fs::path(OMNI_TEST_FIXTURES) / "tiny/cube3d/tokenizer";
  const test::TemporaryDirectory folder_;
};

TEST_F(VecsetFile, EmbedderIsFoundUnderItsThreeNames) {
  c10::NoGradGuard no_grad;
  const auto config = read_config(reference_ / "config.json");
  const Tensor expected =
      nn::to_tensor(SafetensorsFile(reference_ / "shape_tokenizer.safetensors").at("embedder.weight"));
  for (const char* alias :
       {"embedder.weight", "encoder.embedder.weight", "occupancy_decoder.embedder.weight"}) {
    VecsetShapeNetwork network(config);
    network.load(SafetensorsFile(rewrite("embedder.weight", alias)));
    EXPECT_TRUE(at::equal(network.parameters().find("embedder.weight")->value, expected)) << alias;
  }
}

TEST_F(VecsetFile, MissingUnknownAndMisshapenTensorsAreNamed) {
  auto config = read_config(reference_ / "config.json");
  VecsetShapeNetwork network(config);
  EXPECT_THROW(network.load(SafetensorsFile(rewrite("embedder.weight", ""))), Error);
  EXPECT_THROW(network.load(SafetensorsFile(rewrite("encoder.query", "encoder.queries"))), Error);
  config.quantiser.codebook_size *= 2;
  VecsetShapeNetwork larger(config);
  EXPECT_THROW(larger.load(SafetensorsFile(reference_ / "shape_tokenizer.safetensors")), Error);
}

TEST_F(VecsetFile, SavedTokenizerGivesTheSameCodesAndField) {
  VecsetShapeConfig config = read_config(reference_ / "config.json");
  config.surface_points = 512;
  VecsetShapeTokenizer tokenizer(config, 5);
  ShapeSample sample;
  CounterRng rng(4);
  for (int i = 0; i < 512; ++i) {
    const geometry::Vec3 direction =
        geometry::normalised({static_cast<float>(rng.normal()), static_cast<float>(rng.normal()),
                              static_cast<float>(rng.normal())});
    sample.surface.positions.push_back(direction * 0.9f);
    sample.surface.normals.push_back(direction);
  }
  const auto codes = tokenizer.encode(std::span(&sample, 1));
  ASSERT_EQ(codes[0].geometry.size(), static_cast<std::size_t>(config.latents));
  tokenizer.save(folder_ / "saved");
  const auto loaded = load_shape_tokenizer(folder_ / "saved");
  EXPECT_EQ(loaded->encode(std::span(&sample, 1))[0].geometry, codes[0].geometry);
  const std::vector<geometry::Vec3> points(sample.surface.positions.begin(),
                                           sample.surface.positions.begin() + 9);
  std::vector<float> a(9), b(9);
  tokenizer.decode(codes)[0]->values(points, a);
  loaded->decode(codes)[0]->values(points, b);
  EXPECT_EQ(a, b);

  auto bad = codes;
  bad[0].geometry[0] = static_cast<std::int32_t>(config.quantiser.codebook_size);
  EXPECT_THROW(tokenizer.decode(bad), Error);
  bad[0].geometry.pop_back();
  EXPECT_THROW(tokenizer.decode(bad), Error);
  EXPECT_THROW(tokenizer.encode(std::vector<ShapeSample>(1)), Error);
}

// Later queries must not change what earlier ones found, or a prefix of codes would not be the shape's own.
TEST(VecsetAdaptiveLength, EarlierLatentsDoNotSeeLaterQueries) {
  const c10::NoGradGuard no_grad;
  VecsetShapeConfig config;
  config.latents = 32;
  config.width = 16;
  config.heads = 2;
  config.frequencies = 4;
  config.adaptive_length = true;
  VecsetShapeNetwork network(config, 3);
  EXPECT_EQ(network.lengths(), (std::vector<std::int64_t>{1, 2, 4, 8, 16, 32}));
  const Tensor surface = at::randn({2, 64, 6});
  const Tensor before = network.encode(surface).latents.clone();
  Tensor query = network.parameters().find("encoder.query")->value;
  query.narrow(0, 1 + 8, 24).add_(1.0);  // row 0 is the class token's
  const Tensor after = network.encode(surface).latents;
  EXPECT_TRUE(at::equal(before.narrow(1, 0, 8), after.narrow(1, 0, 8)));
  EXPECT_FALSE(at::allclose(before.narrow(1, 8, 24), after.narrow(1, 8, 24)));
}

TEST(VecsetAdaptiveLength, EveryOfferedPrefixDecodesAndTheDecoderIsToldWhichItIs) {
  const c10::NoGradGuard no_grad;
  VecsetShapeConfig config;
  config.latents = 8;
  config.width = 16;
  config.heads = 2;
  config.frequencies = 4;
  config.adaptive_length = true;
  VecsetShapeTokenizer tokenizer(config, 3);
  EXPECT_EQ(tokenizer.offered_lengths(), (std::vector<std::int64_t>{1, 2, 4, 8}));
  ShapeCodes full;
  full.geometry = {1, 2, 3, 4, 5, 6, 7, 8};
  std::vector<ShapeCodes> prefixes;
  for (const std::size_t length : {8u, 4u, 4u, 1u}) {
    prefixes.push_back(full);
    prefixes.back().geometry.resize(length);
  }
  const std::vector<geometry::Vec3> point = {{0.1f, 0.2f, 0.3f}};
  std::vector<float> values;
  for (const auto& shape : tokenizer.decode(prefixes)) {
    values.push_back(0);
    shape->values(point, std::span(&values.back(), 1));
  }
  EXPECT_EQ(values[1], values[2]);
  EXPECT_NE(values[0], values[1]);
  Tensor rows = tokenizer.network().parameters().find("decoder.lengths")->value;
  rows[2].add_(at::arange(16).to(at::kFloat));
  tokenizer.decode(std::span(&prefixes[1], 1))[0]->values(point, std::span(&values[2], 1));
  EXPECT_NE(values[1], values[2]);
  prefixes[1].geometry.resize(3);
  EXPECT_THROW(tokenizer.decode(prefixes), Error);
}

VecsetShapeConfig small_config() {
  VecsetShapeConfig config;
  config.latents = 16;
  config.width = 32;
  config.heads = 2;
  config.frequencies = 8;
  config.surface_points = 128;
  return config;
}

ShapeSample ball_sample(std::int64_t points, std::uint64_t seed) {
  ShapeSample sample;
  CounterRng rng(seed);
  for (std::int64_t i = 0; i < points; ++i) {
    const geometry::Vec3 direction =
        geometry::normalised({static_cast<float>(rng.normal()), static_cast<float>(rng.normal()),
                              static_cast<float>(rng.normal())});
    sample.surface.positions.push_back(direction * 0.9f);
    sample.surface.normals.push_back(direction);
  }
  return sample;
}

TEST(VecsetPrecision, Bf16StaysNearFp32) {
  const c10::NoGradGuard no_grad;
  const auto config = small_config();
  VecsetShapeTokenizer exact(config, 3), fast(config, 3);
  fast.network().parameters().set_trainable(false);
  fast.compute_in(at::kBFloat16);
  const ShapeSample sample = ball_sample(128, 4);
  const Tensor surface = surface_tensor(std::span(&sample, 1));
  const auto relative_error = [](const Tensor& a, const Tensor& b) {
    EXPECT_EQ(b.scalar_type(), at::kFloat);
    return ((a - b).norm() / a.norm()).item<double>();
  };
  const Tensor latents = exact.network().encode(surface).latents;
  const double encoded = relative_error(latents, fast.network().encode(surface).latents);
  EXPECT_GT(encoded, 0);
  EXPECT_LT(encoded, 0.02);
  const Tensor values = exact.network().prepared(latents);
  const Tensor decoded = exact.network().decode(values), fast_decoded = fast.network().decode(values);
  EXPECT_LT(relative_error(decoded, fast_decoded), 0.02);
  const Tensor queries = at::rand({1, 100, 3}) * 2 - 1;
  EXPECT_LT(relative_error(exact.network().field(decoded, queries), fast.network().field(decoded, queries)),
            0.05);
  EXPECT_THROW(fast.compute_in(at::kHalf), Error);
}

// Matrices are held once, in the type in which they compute: nearly all of the weights.
TEST(VecsetPrecision, FrozenWeightsAreHeldInOneTypeAlone) {
  VecsetShapeTokenizer trained(small_config(), 3), frozen(small_config(), 3);
  frozen.network().parameters().set_trainable(false);
  const auto bytes_of = [](const VecsetShapeTokenizer& tokenizer) {
    std::map<const void*, std::size_t> held;  // by where it lies
    for (const nn::Parameter& parameter : tokenizer.network().parameters().all())
      for (const Tensor& tensor : {parameter.value, parameter.master})
        held[tensor.const_data_ptr()] = tensor.nbytes();
    double bytes = 0;
    for (const auto& [place, size] : held) bytes += static_cast<double>(size);
    return bytes;
  };
  const double before = bytes_of(frozen);
  for (VecsetShapeTokenizer* tokenizer : {&trained, &frozen}) tokenizer->compute_in(at::kBFloat16);
  EXPECT_EQ(bytes_of(trained), before);
  EXPECT_LT(bytes_of(frozen), 0.56 * before);
  for (const char* name : {"encoder.feat_in.in_layer.weight", "decoder.blocks.0.attn.c_qk.weight",
                           "occupancy_decoder.attn_out.mlp.up_proj.bias"}) {
    const Tensor rounded = frozen.network().parameters().find(name)->value;
    EXPECT_EQ(rounded.scalar_type(), at::kBFloat16) << name;
    EXPECT_TRUE(rounded.equal(trained.network().parameters().find(name)->value.to(at::kBFloat16))) << name;
  }
  EXPECT_THROW(frozen.stored(), Error);
  EXPECT_NO_THROW(trained.stored());
}

TEST(VecsetQueries, FarthestPointsDoNotDependOnTheOrderOfThePoints) {
  const c10::NoGradGuard no_grad;
  auto config = small_config();
  config.queries = "farthest_points";
  for (const bool class_token : {true, false}) {
    config.class_token = class_token;
    const VecsetShapeNetwork network(config, 3);
    const ShapeSample sample = ball_sample(128, 4);
    const Tensor surface = surface_tensor(std::span(&sample, 1));
    const Tensor latents = network.encode(surface).latents;
    EXPECT_EQ(latents.sizes(), (at::IntArrayRef{1, 16, 32}));
    EXPECT_TRUE(at::allclose(latents, network.encode(surface.flip({1})).latents, 1e-4, 1e-4));
  }
  config.queries = "learned";
  EXPECT_THROW(
      [&] {
        config.queries = "farthest_points";
        config.surface_points = 16;
        config.latents = 17;
        VecsetShapeNetwork network(config, 3);
      }(),
      Error);
}

// More shapes than one pass takes.
TEST(VecsetTokenizer, ManyShapesGetTheCodesOfEach) {
  auto config = small_config();
  config.surface_points = 4096;
  const VecsetShapeTokenizer tokenizer(config, 3);
  std::vector<ShapeSample> samples;
  for (std::uint64_t i = 0; i < 18; ++i) samples.push_back(ball_sample(4096, i));
  const auto codes = tokenizer.encode(samples);
  ASSERT_EQ(codes.size(), 18u);
  for (const std::size_t i : {0u, 15u, 16u, 17u})
    EXPECT_EQ(codes[i].geometry, tokenizer.encode(std::span(&samples[i], 1))[0].geometry) << i;
  EXPECT_TRUE(tokenizer.encode({}).empty());
}

TEST(VecsetShapeConfig, EveryKindOfCodesEncodes) {
  for (const char* kind : {"fsq", "vq", "spherical"}) {
    VecsetShapeConfig config;
    config.quantiser.kind = kind;
    config.quantiser.codebook_size = 32;
    config.latents = 4;
    config.width = 16;
    config.heads = 2;
    config.frequencies = 4;
    config.surface_points = 16;
    const VecsetShapeTokenizer tokenizer(config, 3);
    ShapeSample sample;
    sample.surface.positions.assign(16, {0.5f, 0.1f, 0.2f});
    sample.surface.normals.assign(16, {0, 1, 0});
    const auto codes = tokenizer.encode(std::span(&sample, 1));
    ASSERT_EQ(codes[0].geometry.size(), 4u) << kind;
    for (const auto code : codes[0].geometry) EXPECT_LT(code, tokenizer.geometry_vocabulary());
    EXPECT_EQ(tokenizer.decode(codes).size(), 1u);
  }
}

TEST(VecsetColour, RecolouringKeepsTheGeometryCodesAndTheField) {
  const c10::NoGradGuard no_grad;
  VecsetShapeConfig config;
  config.latents = 4;
  config.width = 16;
  config.heads = 2;
  config.frequencies = 4;
  config.surface_points = 32;
  config.colour.codes = 6;
  config.colour.quantiser.codebook_size = 64;
  VecsetShapeTokenizer tokenizer(config, 3);
  std::vector<ShapeSample> samples(2);
  CounterRng rng(4);
  for (int i = 0; i < 32; ++i) {
    const geometry::Vec3 direction =
        geometry::normalised({static_cast<float>(rng.normal()), static_cast<float>(rng.normal()),
                              static_cast<float>(rng.normal())});
    for (ShapeSample& sample : samples) {
      sample.surface.positions.push_back(direction * 0.8f);
      sample.surface.normals.push_back(direction);
    }
    samples[0].surface.colours.push_back({0.9f, 0.1f, 0.1f});
    samples[1].surface.colours.push_back({0.0f, 0.2f, 1.0f});
  }
  const auto codes = tokenizer.encode(samples);
  EXPECT_EQ(codes[0].geometry, codes[1].geometry);
  ASSERT_EQ(codes[0].colour.size(), 6u);
  EXPECT_NE(codes[0].colour, codes[1].colour);

  std::vector<ShapeCodes> variants = {codes[0], codes[1], codes[0]};
  variants[2].colour.clear();
  const auto shapes = tokenizer.decode(variants);
  const std::vector<geometry::Vec3> points = {{0.1f, 0.2f, 0.3f}, {0.8f, 0, 0}};
  std::vector<std::vector<float>> fields(3, std::vector<float>(2));
  std::vector<std::vector<geometry::Vec3>> colours(3, std::vector<geometry::Vec3>(2));
  for (std::size_t i = 0; i < 3; ++i) {
    shapes[i]->values(points, fields[i]);
    shapes[i]->colour(points, colours[i]);
  }
  EXPECT_EQ(fields[0], fields[1]);
  EXPECT_EQ(fields[0], fields[2]);
  EXPECT_FALSE(colours[0][0] == colours[1][0]);
  EXPECT_TRUE(shapes[0]->has_colour());
  EXPECT_FALSE(shapes[2]->has_colour());

  // Without colours there is nothing to code.
  samples[0].surface.colours.clear();
  EXPECT_TRUE(tokenizer.encode(std::span(samples.data(), 1))[0].colour.empty());
}

TEST(VecsetShapeConfig, HeadsMustDivideTheWidth) {
  VecsetShapeConfig config;
  config.heads = 3;
  EXPECT_THROW(VecsetShapeNetwork{config}, Error);
}

}  // namespace
}  // namespace omni::tokenizers
