#include "omni/tokenizers/shape_vecset.h"

#include <cstring>

#include "omni/core/error.h"
#include "omni/core/files.h"
#include "shape_folder.h"

namespace omni::tokenizers {

using at::Tensor;

namespace {

constexpr std::int64_t kQueryChunk = 8192;  // bounds the activations of one field evaluation
constexpr std::size_t kBatch = 32;          // shapes a pass, to bound memory

class VecsetShape : public DecodedShape {
 public:
  VecsetShape(std::shared_ptr<const VecsetShapeNetwork> network, VecsetBlock::KeysValues latents)
      : network_(std::move(network)), latents_(std::move(latents)) {}

  void values(std::span<const geometry::Vec3> points, std::span<float> values) const override {
    ensure(points.size() == values.size(), "values() needs as many values as points");
    c10::NoGradGuard no_grad;
    const auto count = static_cast<std::int64_t>(points.size());
    for (std::int64_t begin = 0; begin < count; begin += kQueryChunk) {
      const std::int64_t size = std::min(kQueryChunk, count - begin);
      Tensor queries = at::empty({1, size, 3});
      std::memcpy(queries.data_ptr<float>(), points.data() + begin,
                  static_cast<std::size_t>(size) * sizeof(geometry::Vec3));
      const Tensor field = network_->field(latents_, queries).contiguous();
      std::memcpy(values.data() + begin, field.data_ptr<float>(),
                  static_cast<std::size_t>(size) * sizeof(float));
    }
  }

  void colour(std::span<const geometry::Vec3>, std::span<geometry::Vec3> colours) const override {
    std::fill(colours.begin(), colours.end(), kUncolouredSurface);
  }
  bool has_colour() const override { return false; }

 private:
  std::shared_ptr<const VecsetShapeNetwork> network_;
  VecsetBlock::KeysValues latents_;
};

}  // namespace

Tensor surface_tensor(std::span<const ShapeSample> samples) {
  static_assert(sizeof(geometry::Vec3) == 3 * sizeof(float));
  ensure(!samples.empty(), "surface_tensor needs samples");
  const std::size_t count = samples[0].surface.positions.size();
  Tensor surface =
      at::empty({static_cast<std::int64_t>(samples.size()), static_cast<std::int64_t>(count), 6});
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const auto& points = samples[i].surface;
    if (count == 0 || points.positions.size() != count || points.normals.size() != count)
      fail(ErrorKind::usage, "shape tokenizer: sample ", i, " lacks surface points with normals. Sample ",
           count, " points from its mesh");
    float* row = surface.data_ptr<float>() + i * count * 6;
    for (std::size_t p = 0; p < count; ++p) {
      std::memcpy(row + p * 6, &points.positions[p], sizeof(geometry::Vec3));
      std::memcpy(row + p * 6 + 3, &points.normals[p], sizeof(geometry::Vec3));
    }
  }
  return surface;
}

VecsetShapeTokenizer::VecsetShapeTokenizer(const VecsetShapeConfig& config, std::uint64_t seed)
    : network_(std::make_shared<VecsetShapeNetwork>(config, seed)) {}
VecsetShapeTokenizer::~VecsetShapeTokenizer() = default;

ShapeInput VecsetShapeTokenizer::required_input() const {
  return {.grid_resolution = 0,
          .grid_half_extent = 1.0f,
          .surface_points = static_cast<int>(network_->config().surface_points),
          .sharp_edge_share = network_->config().sharp_edge_share};
}
std::int64_t VecsetShapeTokenizer::geometry_code_count() const { return network_->config().latents; }
std::int64_t VecsetShapeTokenizer::geometry_vocabulary() const { return network_->quantiser().vocabulary(); }
std::vector<std::int64_t> VecsetShapeTokenizer::offered_lengths() const { return network_->lengths(); }
Tensor VecsetShapeTokenizer::geometry_codebook() const {
  c10::NoGradGuard no_grad;
  return network_->quantiser().codebook();
}

std::vector<ShapeCodes> VecsetShapeTokenizer::encode(std::span<const ShapeSample> samples) const {
  if (samples.empty()) return {};
  c10::NoGradGuard no_grad;
  const Tensor latents = network_->encode(surface_tensor(samples)).latents;
  const Tensor indices = network_->quantiser().nearest(network_->prepared(latents)).to(at::kInt).contiguous();
  std::vector<ShapeCodes> codes(samples.size());
  const auto length = static_cast<std::size_t>(geometry_code_count());
  const auto* data = indices.data_ptr<std::int32_t>();
  for (std::size_t i = 0; i < codes.size(); ++i)
    codes[i].geometry.assign(data + i * length, data + (i + 1) * length);
  return codes;
}

std::vector<std::unique_ptr<DecodedShape>> VecsetShapeTokenizer::decode(
    std::span<const ShapeCodes> codes) const {
  c10::NoGradGuard no_grad;
  std::vector<std::unique_ptr<DecodedShape>> shapes;
  for_equal_lengths(codes, kBatch, [&](std::span<const ShapeCodes> part) {
    const Tensor indices = code_tensor(part, &ShapeCodes::geometry, offered_length(part[0], *this),
                                       geometry_vocabulary(), "geometry");
    const Tensor latents = network_->decode(network_->quantiser().lookup(indices));
    for (std::int64_t i = 0; i < latents.size(0); ++i)
      shapes.push_back(
          std::make_unique<VecsetShape>(network_, network_->field_keys_values(latents.narrow(0, i, 1))));
  });
  return shapes;
}

void VecsetShapeTokenizer::save(const std::filesystem::path& folder) const {
  VecsetShapeConfig config = network_->config();
  save_shape_folder(
      folder, "vecset", [&](ConfigVisitor& v) { describe(v, config); }, network_->parameters(), false);
}

}  // namespace omni::tokenizers
