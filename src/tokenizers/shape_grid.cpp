#include "omni/tokenizers/shape_grid.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "omni/core/error.h"
#include "omni/kernels/matrix_tiles.h"
#include "shape_folder.h"
#include "shape_grid_field.h"

namespace omni::tokenizers {

using at::Tensor;

namespace {

constexpr float kHalfExtent = 1.0f;
constexpr std::int64_t kBatch = 32;  // shapes a pass, to bound memory

Tensor occupancy_tensor(std::span<const ShapeSample> samples, std::int64_t resolution) {
  const auto cells = static_cast<std::size_t>(resolution * resolution * resolution);
  Tensor occupancy =
      at::empty({static_cast<std::int64_t>(samples.size()), resolution, resolution, resolution});
  float* target = occupancy.data_ptr<float>();
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const auto& grid = samples[i].grid;
    if (grid.resolution != resolution || grid.occupancy.size() != cells || grid.half_extent != kHalfExtent)
      fail(ErrorKind::usage, "shape tokenizer: sample ", i, " has no occupancy grid of ", resolution,
           "^3 cells over [-1, 1]^3. Prepare it with the tokenizer's required_input()");
    std::memcpy(target + i * cells, grid.occupancy.data(), cells * sizeof(float));
  }
  return occupancy;
}

struct SurfaceColours {
  Tensor points, colours, present;  // [B, P, 3], [B, P, 3], [B, P]
};

SurfaceColours surface_colours(std::span<const ShapeSample> samples) {
  std::vector<std::vector<std::int32_t>> cells;
  std::size_t longest = 1;
  for (const auto& sample : samples) {
    const auto& grid = sample.grid;
    // Without colours every slot stays grey.
    cells.push_back(grid.colours.size() == 3 * grid.occupancy.size() ? surface_cells(grid)
                                                                     : std::vector<std::int32_t>{});
    longest = std::max(longest, cells.back().size());
  }
  const auto batch = static_cast<std::int64_t>(samples.size()), width = static_cast<std::int64_t>(longest);
  SurfaceColours out{at::zeros({batch, width, 3}), at::zeros({batch, width, 3}), at::zeros({batch, width})};
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const auto& grid = samples[i].grid;
    float* point = out.points.data_ptr<float>() + i * longest * 3;
    float* colour = out.colours.data_ptr<float>() + i * longest * 3;
    std::fill_n(out.present.data_ptr<float>() + i * longest, cells[i].size(), 1.0f);
    const int n = grid.resolution;
    for (const auto cell : cells[i]) {
      const geometry::Vec3 centre = grid.cell_centre(cell % n, cell / n % n, cell / (n * n));
      for (std::size_t axis = 0; axis < 3; ++axis) {
        *point++ = centre[axis] / kHalfExtent;
        *colour++ = static_cast<float>(grid.colours[3 * static_cast<std::size_t>(cell) + axis]) / 255.0f;
      }
    }
  }
  return out;
}

// Slots are a soft segmentation whose means are rounded to a palette: bf16 is precise enough, and three times
// as fast where the processor multiplies bf16 matrices.
at::ScalarType slot_dtype() { return kernels::has_matrix_tiles() ? at::kBFloat16 : at::kFloat; }

}  // namespace

std::vector<std::int32_t> surface_cells(const geometry::VoxelGrid& grid) {
  const int n = grid.resolution;
  const auto inside = [&](int x, int y, int z) {
    return x >= 0 && y >= 0 && z >= 0 && x < n && y < n && z < n &&
           grid.occupancy[(static_cast<std::size_t>(z) * n + y) * n + x] > 0.5f;
  };
  std::vector<std::int32_t> cells;
  for (int z = 0; z < n; ++z)
    for (int y = 0; y < n; ++y)
      for (int x = 0; x < n; ++x) {
        if (!inside(x, y, z)) continue;
        const bool buried = inside(x - 1, y, z) && inside(x + 1, y, z) && inside(x, y - 1, z) &&
                            inside(x, y + 1, z) && inside(x, y, z - 1) && inside(x, y, z + 1);
        if (!buried) cells.push_back((z * n + y) * n + x);
      }
  return cells;
}

GridShapeTokenizer::GridShapeTokenizer(const GridShapeConfig& config, nn::ParameterStart start)
    : network_(std::make_unique<GridShapeNetwork>(config, std::move(start))) {}
GridShapeTokenizer::~GridShapeTokenizer() = default;

ShapeInput GridShapeTokenizer::required_input() const {
  ShapeInput input;
  input.grid_resolution = static_cast<int>(network_->config().resolution);
  input.grid_half_extent = kHalfExtent;
  input.grid_samples_per_axis = static_cast<int>(network_->config().samples_per_axis);
  return input;
}
std::int64_t GridShapeTokenizer::geometry_code_count() const { return network_->codes().code_count(); }
std::int64_t GridShapeTokenizer::geometry_vocabulary() const {
  return network_->codes().quantiser().vocabulary();
}
std::vector<std::int64_t> GridShapeTokenizer::offered_lengths() const { return network_->codes().lengths(); }
std::int64_t GridShapeTokenizer::colour_code_count() const { return network_->config().colour.slots; }
std::int64_t GridShapeTokenizer::colour_vocabulary() const {
  return network_->has_colour() ? network_->palette().vocabulary() : 0;
}
std::int64_t GridShapeTokenizer::geometry_grid_side() const {
  return network_->codes().level_count() == 1 ? network_->code_side() : 0;
}
Tensor GridShapeTokenizer::geometry_codebook() const { return network_->codes().quantiser().codebook(); }
Tensor GridShapeTokenizer::colour_codebook() const {
  return network_->has_colour() ? network_->palette().codebook() : Tensor();
}

std::vector<ShapeCodes> GridShapeTokenizer::encode(std::span<const ShapeSample> samples) const {
  c10::NoGradGuard no_grad;
  std::vector<ShapeCodes> codes;
  for (std::size_t begin = 0; begin < samples.size(); begin += kBatch) {
    const auto part = samples.subspan(begin, std::min<std::size_t>(kBatch, samples.size() - begin));
    const Tensor occupancy = occupancy_tensor(part, network_->config().resolution);
    const Tensor geometry = network_->codes().indices(network_->encode(occupancy));
    Tensor colour;
    if (network_->has_colour()) {
      const auto surface = surface_colours(part);
      const auto features = network_->decode(network_->codes().features(geometry).to(slot_dtype())).features;
      const Tensor weights = sample_grid(network_->slot_logits(features), surface.points).softmax(-1);
      colour = network_->palette().nearest(slot_colours(weights, surface.colours, surface.present));
    }
    for (std::int64_t i = 0; i < geometry.size(0); ++i)
      codes.push_back(
          {code_row(geometry, i), colour.defined() ? code_row(colour, i) : std::vector<std::int32_t>{}});
  }
  return codes;
}

std::vector<std::unique_ptr<DecodedShape>> GridShapeTokenizer::decode(
    std::span<const ShapeCodes> codes) const {
  c10::NoGradGuard no_grad;
  std::vector<std::unique_ptr<DecodedShape>> shapes;
  for_equal_lengths(codes, kBatch, [&](std::span<const ShapeCodes> part) { decode_batch(part, shapes); });
  return shapes;
}

void GridShapeTokenizer::decode_batch(std::span<const ShapeCodes> codes,
                                      std::vector<std::unique_ptr<DecodedShape>>& shapes) const {
  const std::int64_t length = offered_length(codes[0], *this);
  const Tensor geometry =
      code_tensor(codes, &ShapeCodes::geometry, length, geometry_vocabulary(), "geometry");
  const auto batch = geometry.size(0);
  const auto decoded = network_->decode(network_->codes().features(geometry));
  // Shapes whose colour codes are absent keep the plain colour.
  const bool coloured =
      network_->has_colour() &&
      std::any_of(codes.begin(), codes.end(), [](const ShapeCodes& c) { return !c.colour.empty(); });
  const Tensor slots = coloured ? network_->slot_logits(decoded.features) : Tensor();
  for (std::int64_t i = 0; i < batch; ++i) {
    Tensor palette;
    const auto& shape = codes[static_cast<std::size_t>(i)];
    if (!shape.colour.empty() && network_->has_colour())
      palette = network_->palette().lookup(code_tensor(
          std::span(&shape, 1), &ShapeCodes::colour, colour_code_count(), colour_vocabulary(), "colour"))[0];
    shapes.push_back(
        make_grid_shape(decoded.logits[i][0], palette.defined() ? slots[i] : Tensor(), palette, kHalfExtent));
  }
}

StoredTokenizer GridShapeTokenizer::stored() const {
  GridShapeConfig config = network_->config();
  return stored_shape(
      "grid", [&](ConfigVisitor& v) { describe(v, config); }, network_->parameters(),
      config.weights == "f16");
}

}  // namespace omni::tokenizers
