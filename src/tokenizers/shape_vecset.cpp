#include "omni/tokenizers/shape_vecset.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <optional>

#include "omni/core/error.h"
#include "omni/core/files.h"
#include "shape_folder.h"

namespace omni::tokenizers {

using at::Tensor;

namespace {

// Points of one field evaluation.
constexpr std::int64_t kThreadChunk = 1024, kDeviceChunk = 8192;
constexpr std::size_t kBatch = 32;               // shapes a pass, to bound memory
constexpr std::size_t kEncodedPoints = 1 << 16;  // surface points a pass

// Calls evaluate on [1, Q, 3] tensors of the points on that device, in chunks that bound the activations, and copies what
// it returns, Q rows of floats, to `out`. On the CPU every thread has a chunk of its own: none waits for others at the end
// of each layer, and what a chunk's layers hand on stays in the caches.
void in_chunks(std::span<const geometry::Vec3> points, float* out, std::int64_t floats, at::Device device,
               const std::function<Tensor(const Tensor& queries)>& evaluate) {
  const auto count = static_cast<std::int64_t>(points.size());
  const auto chunk = [&](std::int64_t begin, std::int64_t size) {
    const c10::NoGradGuard no_grad;
    Tensor queries = at::empty({1, size, 3});
    std::memcpy(queries.data_ptr<float>(), points.data() + begin,
                static_cast<std::size_t>(size) * sizeof(geometry::Vec3));
    const Tensor results = evaluate(queries.to(device)).cpu().contiguous();
    ensure(results.numel() == size * floats, "a field gave ", results.sizes(), " for ", size, " points");
    std::copy_n(results.data_ptr<float>(), results.numel(), out + begin * floats);
  };
  const std::int64_t most = device.is_cpu() ? kThreadChunk : kDeviceChunk;
  const auto several = [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last; ++i) chunk(i * most, std::min(most, count - i * most));
  };
  const std::int64_t chunks = (count + most - 1) / most;
  device.is_cpu() ? at::parallel_for(0, chunks, 1, several) : several(0, chunks);
}

class VecsetShape : public DecodedShape {
 public:
  VecsetShape(std::shared_ptr<const VecsetShapeNetwork> network, VecsetBlock::KeysValues latents,
              std::optional<VecsetBlock::KeysValues> colour)
      : network_(std::move(network)), latents_(std::move(latents)), colour_(std::move(colour)) {}

  void values(std::span<const geometry::Vec3> points, std::span<float> values) const override {
    ensure(points.size() == values.size(), "values() needs as many values as points");
    in_chunks(points, values.data(), 1, network_->device(),
              [&](const Tensor& queries) { return network_->field(latents_, queries); });
  }

  void colour(std::span<const geometry::Vec3> points, std::span<geometry::Vec3> colours) const override {
    ensure(points.size() == colours.size(), "colour() needs as many colours as points");
    static_assert(sizeof(geometry::Vec3) == 3 * sizeof(float));
    if (!colour_) return std::fill(colours.begin(), colours.end(), kUncolouredSurface);
    in_chunks(points, reinterpret_cast<float*>(colours.data()), 3, network_->device(),
              [&](const Tensor& queries) { return network_->colour().colours(*colour_, queries); });
  }
  bool has_colour() const override { return colour_.has_value(); }

 private:
  std::shared_ptr<const VecsetShapeNetwork> network_;
  VecsetBlock::KeysValues latents_;
  std::optional<VecsetBlock::KeysValues> colour_;
};

// [B, N, 3]; undefined if a sample lacks colours.
Tensor surface_colours(std::span<const ShapeSample> samples) {
  const std::size_t count = samples[0].surface.positions.size();
  for (const ShapeSample& sample : samples)
    if (sample.surface.colours.size() != count) return {};
  Tensor colours =
      at::empty({static_cast<std::int64_t>(samples.size()), static_cast<std::int64_t>(count), 3});
  float* row = colours.data_ptr<float>();
  for (const ShapeSample& sample : samples) {
    std::memcpy(row, sample.surface.colours.data(), count * sizeof(geometry::Vec3));
    row += 3 * count;
  }
  return colours;
}

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

VecsetShapeTokenizer::VecsetShapeTokenizer(const VecsetShapeConfig& config, nn::ParameterStart start)
    : network_(std::make_shared<VecsetShapeNetwork>(config, std::move(start))) {}
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
std::int64_t VecsetShapeTokenizer::colour_vocabulary() const {
  return network_->has_colour() ? network_->colour().quantiser().vocabulary() : 0;
}
Tensor VecsetShapeTokenizer::colour_codebook() const {
  c10::NoGradGuard no_grad;
  return network_->has_colour() ? network_->colour().quantiser().codebook().cpu() : Tensor();
}
Tensor VecsetShapeTokenizer::geometry_codebook() const {
  c10::NoGradGuard no_grad;
  return network_->quantiser().codebook().cpu();
}

std::vector<ShapeCodes> VecsetShapeTokenizer::encode(std::span<const ShapeSample> samples) const {
  c10::NoGradGuard no_grad;
  std::vector<ShapeCodes> codes;
  const auto points = static_cast<std::size_t>(network_->config().surface_points);
  const std::size_t batch = std::clamp<std::size_t>(kEncodedPoints / points, 1, kBatch);
  for (std::size_t begin = 0; begin < samples.size(); begin += batch)
    encode_batch(samples.subspan(begin, std::min(batch, samples.size() - begin)), codes);
  return codes;
}

void VecsetShapeTokenizer::encode_batch(std::span<const ShapeSample> samples,
                                        std::vector<ShapeCodes>& codes) const {
  const at::Device device = network_->device();
  const Tensor surface = surface_tensor(samples).to(device);
  const nn::Quantiser& quantiser = network_->quantiser();
  const Tensor geometry = quantiser.nearest(network_->prepared(network_->encode(surface).latents));
  Tensor colour;
  const Tensor colours = network_->has_colour() ? surface_colours(samples) : Tensor();
  if (colours.defined()) {
    const Tensor latents = network_->decode(quantiser.lookup(geometry));
    const VecsetColour& part = network_->colour();
    colour =
        part.quantiser().nearest(part.encode(surface.narrow(-1, 0, 3), colours.to(device), latents)).cpu();
  }
  const Tensor codes_of_geometry = geometry.cpu();
  for (std::int64_t i = 0; i < geometry.size(0); ++i)
    codes.push_back({code_row(codes_of_geometry, i),
                     colour.defined() ? code_row(colour, i) : std::vector<std::int32_t>{}});
}

std::vector<std::unique_ptr<DecodedShape>> VecsetShapeTokenizer::decode(
    std::span<const ShapeCodes> codes) const {
  c10::NoGradGuard no_grad;
  std::vector<std::unique_ptr<DecodedShape>> shapes;
  for_equal_lengths(codes, kBatch, [&](std::span<const ShapeCodes> part) {
    const Tensor indices = code_tensor(part, &ShapeCodes::geometry, offered_length(part[0], *this),
                                       geometry_vocabulary(), "geometry")
                               .to(network_->device());
    const Tensor latents = network_->decode(network_->quantiser().lookup(indices));
    for (std::int64_t i = 0; i < latents.size(0); ++i) {
      const Tensor own = latents.narrow(0, i, 1);
      const ShapeCodes& shape = part[static_cast<std::size_t>(i)];
      std::optional<VecsetBlock::KeysValues> colour;
      if (network_->has_colour() && !shape.colour.empty()) {
        const Tensor codes_of_colour = code_tensor(std::span(&shape, 1), &ShapeCodes::colour,
                                                   colour_code_count(), colour_vocabulary(), "colour")
                                           .to(network_->device());
        colour = network_->colour().context(network_->colour().quantiser().lookup(codes_of_colour), own);
      }
      shapes.push_back(
          std::make_unique<VecsetShape>(network_, network_->field_keys_values(own), std::move(colour)));
    }
  });
  return shapes;
}

StoredTokenizer VecsetShapeTokenizer::stored() const {
  for (const nn::Parameter& parameter : network_->parameters().all())
    ensure(parameter.value.scalar_type() == at::kFloat,
           "weights that compute_in() rounded are not for saving");
  VecsetShapeConfig config = network_->config();
  return stored_shape(
      "vecset", [&](ConfigVisitor& v) { describe(v, config); }, network_->parameters(), false);
}

}  // namespace omni::tokenizers
