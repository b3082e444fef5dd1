#include "omni/generation/shape_reconstruction.h"

#include <chrono>

#include "omni/generation/mesh_export.h"
#include "omni/geometry/occupancy_bits.h"
#include "omni/geometry/thickness.h"

namespace omni::generation {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kVolumeResolution = 64;
constexpr std::size_t kSurfacePoints = 8192;

double milliseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

void compare_surface(const OriginalShape& original, int resolution, const CounterRng& points,
                     Reconstruction& reconstruction) {
  reconstruction.mesh = extract_mesh(*reconstruction.shape, {.resolution = resolution}).mesh;
  if (reconstruction.mesh.triangles.empty()) return;
  reconstruction.surface =
      geometry::compare_surfaces(reconstruction.mesh, original.mesh, kSurfacePoints, points);
}

}  // namespace

ShapeReconstruction reconstruct(const tokenizers::ShapeTokenizer& tokenizer, const OriginalShape& original,
                                const ReconstructionOptions& options) {
  ShapeReconstruction result;
  Clock::time_point start = Clock::now();
  const tokenizers::ShapeCodes codes = tokenizer.encode(std::span(&original.sample, 1))[0];
  result.encode_ms = milliseconds_since(start);
  const geometry::OccupancyBits truth(original.field, kVolumeResolution);
  if (options.surfaces) result.thickness = geometry::mean_thickness(truth);
  for (const std::int64_t length : tokenizer.offered_lengths()) {
    Reconstruction one{.codes = codes};
    one.codes.geometry.resize(static_cast<std::size_t>(length));
    start = Clock::now();
    one.shape = std::move(tokenizer.decode(std::span(&one.codes, 1))[0]);
    result.decode_ms = milliseconds_since(start);  // the longest is the last
    one.volume_iou = intersection_over_union(truth, geometry::OccupancyBits(*one.shape, kVolumeResolution));
    if (one.shape->has_colour())
      one.colour_error = geometry::mean_colour_error(*one.shape, original.coloured);
    if (options.surfaces)
      compare_surface(original, default_mesh_resolution(tokenizer), options.surface_points, one);
    result.lengths.push_back(std::move(one));
  }
  return result;
}

}  // namespace omni::generation
