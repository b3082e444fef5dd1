#include "omni/tokenizers/shape_grid.h"

#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "omni/core/error.h"
#include "omni/core/files.h"
#include "temporary_directory.h"

namespace omni::tokenizers {
namespace {

using geometry::Vec3;
namespace fs = std::filesystem;

// A ball below a box, each with its colour.
class Figure : public geometry::SolidField {
 public:
  Figure(Vec3 ball_colour, Vec3 box_colour) : ball_colour_(ball_colour), box_colour_(box_colour) {}
  void occupancy(std::span<const Vec3> points, std::span<std::uint8_t> inside) const override {
    for (std::size_t i = 0; i < points.size(); ++i) inside[i] = in_ball(points[i]) || in_box(points[i]);
  }
  void colour(std::span<const Vec3> points, std::span<Vec3> colours) const override {
    for (std::size_t i = 0; i < points.size(); ++i) colours[i] = points[i].y < 0 ? ball_colour_ : box_colour_;
  }

 private:
  static bool in_ball(Vec3 p) { return geometry::length(p + Vec3{0, 0.48f, 0}) < 0.48f; }
  static bool in_box(Vec3 p) {
    const Vec3 a = geometry::abs(p - Vec3{0, 0.48f, 0});
    return a.x < 0.3f && a.y < 0.48f && a.z < 0.4f;
  }
  Vec3 ball_colour_, box_colour_;
};

ShapeSample sample_of(const geometry::SolidField& field) {
  ShapeSample sample;
  sample.grid = geometry::voxelise(field, 32, 1.0f);
  return sample;
}

GridShapeConfig small_config() {
  GridShapeConfig config;
  config.encoder_channels = {8, 16, 32};
  config.decoder_channels = {16, 16};
  config.decoder_blocks = {1, 1};
  config.quantiser.levels = {8, 6, 5};
  config.colour.channels = 16;
  config.weights = "f32";
  return config;
}

TEST(GridTokenizer, RecolouringKeepsGeometryCodesAndTheField) {
  const GridShapeTokenizer tokenizer(small_config(), 3);
  const auto red_blue = sample_of(Figure({0.8f, 0.1f, 0.1f}, {0.1f, 0.2f, 0.8f}));
  const auto green_white = sample_of(Figure({0.1f, 0.6f, 0.2f}, {0.95f, 0.95f, 0.95f}));
  const std::vector<ShapeSample> samples = {red_blue, green_white};
  const auto codes = tokenizer.encode(samples);
  ASSERT_EQ(codes[0].geometry.size(), 64u);
  ASSERT_EQ(codes[0].colour.size(), 8u);
  EXPECT_EQ(codes[0].geometry, codes[1].geometry);
  EXPECT_NE(codes[0].colour, codes[1].colour);
  const auto shapes = tokenizer.decode(codes);
  const std::vector<Vec3> points = {{0, 0, 0}, {0.3f, -0.2f, 0.1f}, {0.9f, 0.9f, 0.9f}};
  std::vector<float> a(3), b(3);
  shapes[0]->values(points, a);
  shapes[1]->values(points, b);
  EXPECT_EQ(a, b);
}

TEST(GridTokenizer, BatchesGiveTheSameCodesAsSingleShapes) {
  const GridShapeTokenizer tokenizer(small_config(), 3);
  const std::vector<ShapeSample> samples(3, sample_of(Figure({0.8f, 0.1f, 0.1f}, {0.1f, 0.2f, 0.8f})));
  const auto batch = tokenizer.encode(samples);
  const auto single = tokenizer.encode(std::span(samples.data(), 1));
  for (const auto& codes : batch) EXPECT_EQ(codes.geometry, single[0].geometry);
}

// With kernels 2, 2, 2 a code sees its own 8^3 cells alone: filling one block changes that block's code and
// no other, and all empty blocks share one code.
TEST(GridTokenizer, ShortKernelsMakeCodesLocal) {
  GridShapeConfig config = small_config();
  config.encoder_kernels = {2, 2, 2};
  const GridShapeTokenizer tokenizer(config, 3);
  ShapeSample empty;
  empty.grid.resolution = 32;
  empty.grid.half_extent = 1.0f;
  empty.grid.occupancy.assign(32 * 32 * 32, 0.0f);
  ShapeSample one = empty;
  const int block_x = 2, block_y = 1, block_z = 3;
  for (int z = 0; z < 8; ++z)
    for (int y = 0; y < 5; ++y)
      for (int x = 0; x < 8; ++x)
        one.grid.occupancy[static_cast<std::size_t>(((block_z * 8 + z) * 32 + block_y * 8 + y) * 32 +
                                                    block_x * 8 + x)] = 1;
  c10::NoGradGuard no_grad;
  at::Tensor grid = at::zeros({2, 32, 32, 32});
  std::copy(one.grid.occupancy.begin(), one.grid.occupancy.end(), grid.data_ptr<float>() + 32 * 32 * 32);
  const at::Tensor vectors = tokenizer.network().encode(grid).view({2, 64, -1});
  const at::Tensor changed = (vectors[0] - vectors[1]).abs().amax(-1).gt(1e-6);
  const std::int64_t expected = (block_z * 4 + block_y) * 4 + block_x;
  EXPECT_TRUE(changed[expected].item<bool>());
  EXPECT_EQ(changed.sum().item<std::int64_t>(), 1);
  const auto codes = tokenizer.encode(std::span(&empty, 1))[0].geometry;
  EXPECT_EQ(codes, std::vector<std::int32_t>(64, codes[0]));
}

// The decoded field interpolates the network's logits: exact at cell centres, outside beyond the border.
TEST(GridTokenizer, FieldInterpolatesTheLogits) {
  const GridShapeTokenizer tokenizer(small_config(), 3);
  const auto sample = sample_of(Figure({0.8f, 0.1f, 0.1f}, {0.1f, 0.2f, 0.8f}));
  const auto codes = tokenizer.encode(std::span(&sample, 1));
  const auto shape = std::move(tokenizer.decode(codes)[0]);
  c10::NoGradGuard no_grad;
  const auto& network = tokenizer.network();
  const std::vector<std::int64_t> indices(codes[0].geometry.begin(), codes[0].geometry.end());
  const auto decoded = network.decode(network.codes().features(at::tensor(indices, at::kLong).view({1, 64})));
  const Vec3 centre = sample.grid.cell_centre(20, 7, 11);
  const Vec3 next = sample.grid.cell_centre(21, 7, 11);
  const std::vector<Vec3> points = {centre, (centre + next) * 0.5f, {1.5f, 0, 0}, {0, -40, 0}, {NAN, 0, 0}};
  std::vector<float> values(points.size());
  shape->values(points, values);
  const float a = decoded.logits[0][0][11][7][20].item<float>(),
              b = decoded.logits[0][0][11][7][21].item<float>();
  EXPECT_NEAR(values[0], a, 1e-5);
  EXPECT_NEAR(values[1], (a + b) / 2, 1e-5);
  EXPECT_LT(values[2], 0);
  EXPECT_LT(values[3], 0);
  EXPECT_LT(values[4], 0);
  // The training-time sampler agrees with the decoded shape inside the frame.
  const at::Tensor place = at::tensor({0.123f, -0.4f, 0.77f}).view({1, 1, 3});
  const std::vector<Vec3> one = {{0.123f, -0.4f, 0.77f}};
  std::vector<float> sampled(1);
  shape->values(one, sampled);
  EXPECT_NEAR(sample_grid(decoded.logits, place).item<float>(), sampled[0], 1e-4);
}

TEST(GridTokenizer, SavedFolderGivesTheSameCodes) {
  const test::TemporaryDirectory temporary;
  const fs::path folder = temporary / "grid";
  const auto sample = sample_of(Figure({0.8f, 0.1f, 0.1f}, {0.1f, 0.2f, 0.8f}));
  for (const char* kind : {"fsq", "vq"}) {
    GridShapeConfig config = small_config();
    config.quantiser.kind = kind;
    config.quantiser.codebook_size = 32;
    const GridShapeTokenizer tokenizer(config, 9);
    tokenizer.save(folder);
    const auto loaded = load_shape_tokenizer(folder);
    const auto before = tokenizer.encode(std::span(&sample, 1)),
               after = loaded->encode(std::span(&sample, 1));
    EXPECT_EQ(before[0].geometry, after[0].geometry);
    EXPECT_EQ(before[0].colour, after[0].colour);
    EXPECT_EQ(loaded->geometry_grid_side(), 4);
    EXPECT_EQ(loaded->geometry_codebook().size(0), loaded->geometry_vocabulary());
    EXPECT_EQ(loaded->colour_codebook().size(0), loaded->colour_vocabulary());
  }
  write_file_atomically(folder / "config.yaml", std::string_view("layout: grid\ngrid:\n  resolutoin: 32\n"));
  EXPECT_THROW(load_shape_tokenizer(folder), Error);
  EXPECT_THROW(load_shape_tokenizer(folder / "none"), Error);
}

TEST(GridTokenizer, BadInputIsRefused) {
  const GridShapeTokenizer tokenizer(small_config(), 3);
  ShapeCodes codes{std::vector<std::int32_t>(64, 0), {}};
  EXPECT_FALSE(tokenizer.decode(std::span(&codes, 1))[0]->has_colour());
  codes.geometry[5] = static_cast<std::int32_t>(tokenizer.geometry_vocabulary());
  EXPECT_THROW(tokenizer.decode(std::span(&codes, 1)), Error);
  codes.geometry[5] = -1;
  EXPECT_THROW(tokenizer.decode(std::span(&codes, 1)), Error);
  codes.geometry = {1, 2, 3};
  EXPECT_THROW(tokenizer.decode(std::span(&codes, 1)), Error);
  const std::vector<ShapeSample> none(1);
  EXPECT_THROW(tokenizer.encode(none), Error);

  for (const auto& spoil : std::vector<std::function<void(GridShapeConfig&)>>{
           [](auto& c) { c.resolution = 20; },
           [](auto& c) { c.resolution = c.output_resolution = 24, c.adaptive_length = true; },
           [](auto& c) {
             c.encoder_kernels = {3, 2, 2};
           },
           [](auto& c) { c.encoder_channels = {8}; }, [](auto& c) { c.output_resolution = 36; }}) {
    GridShapeConfig config = small_config();
    spoil(config);
    EXPECT_THROW(GridShapeNetwork{config}, Error);
  }
}

TEST(GridTokenizer, AdaptiveLengthDecodesEveryPrefixOfLevels) {
  const test::TemporaryDirectory folder;
  GridShapeConfig config = small_config();
  config.adaptive_length = true;
  config.encoder_kernels = {2, 2};  // two stages: 8^3 codes of 4^3 cells
  config.encoder_channels = {8, 16};
  const GridShapeTokenizer tokenizer(config, 3);
  EXPECT_EQ(tokenizer.offered_lengths(), (std::vector<std::int64_t>{1, 9, 73, 585}));
  EXPECT_EQ(tokenizer.geometry_grid_side(), 0);
  const auto sample = sample_of(Figure({0.8f, 0.1f, 0.1f}, {0.1f, 0.2f, 0.8f}));
  const ShapeCodes full = tokenizer.encode(std::span(&sample, 1))[0];
  ASSERT_EQ(full.geometry.size(), 585u);

  // Lengths may be mixed in one call; each shape is what it is alone.
  std::vector<ShapeCodes> prefixes;
  for (const std::size_t length : {73u, 73u, 1u, 585u, 9u}) {
    prefixes.push_back(full);
    prefixes.back().geometry.resize(length);
  }
  const auto shapes = tokenizer.decode(prefixes);
  ASSERT_EQ(shapes.size(), prefixes.size());
  tokenizer.save(folder / "saved");
  const auto loaded = load_shape_tokenizer(folder / "saved");
  const std::vector<Vec3> points = {{0, 0, 0}, {0.3f, -0.2f, 0.1f}, {-0.1f, 0.6f, 0.2f}};
  for (std::size_t i = 0; i < prefixes.size(); ++i) {
    std::vector<float> together(3), alone(3), reloaded(3);
    shapes[i]->values(points, together);
    tokenizer.decode(std::span(&prefixes[i], 1))[0]->values(points, alone);
    loaded->decode(std::span(&prefixes[i], 1))[0]->values(points, reloaded);
    for (std::size_t k = 0; k < 3; ++k) {
      EXPECT_NEAR(together[k], alone[k], 1e-5);
      EXPECT_NEAR(reloaded[k], alone[k], 1e-5);
    }
  }
  prefixes[0].geometry.resize(72);
  EXPECT_THROW(tokenizer.decode(prefixes), Error);
}

TEST(GridTokenizer, SurfaceCellsOfABoxAreItsShell) {
  geometry::VoxelGrid grid;
  grid.resolution = 8;
  grid.occupancy.assign(512, 0.0f);
  for (int z = 2; z < 6; ++z)
    for (int y = 2; y < 6; ++y)
      for (int x = 2; x < 6; ++x) grid.occupancy[static_cast<std::size_t>((z * 8 + y) * 8 + x)] = 1;
  EXPECT_EQ(surface_cells(grid).size(), 64u - 8u);
}

TEST(GridTokenizer, SlotColoursAreMeansOverTheirSurface) {
  const at::Tensor weights = at::eye(2).repeat({1, 50, 1}).view({1, 100, 2});
  at::Tensor colours = at::zeros({1, 100, 3});
  colours.slice(1, 0, 100, 2).select(2, 0).fill_(1.0);
  const at::Tensor present = at::ones({1, 100});
  const at::Tensor slots = slot_colours(weights, colours, present);
  EXPECT_NEAR(slots[0][0][0].item<float>(), 1.0, 0.03);
  EXPECT_NEAR(slots[0][1][0].item<float>(), 0.0, 0.03);
  const at::Tensor absent = slot_colours(weights, colours, at::zeros({1, 100}));
  EXPECT_TRUE(at::allclose(absent, at::full({1, 2, 3}, 0.5)));
}

}  // namespace
}  // namespace omni::tokenizers
