#include "omni/evaluation/shape_reconstruction.h"

#include <cmath>

#include "omni/data/shape_sample.h"
#include "omni/generation/mesh_export.h"
#include "omni/geometry/occupancy_bits.h"
#include "omni/geometry/shape_metrics.h"
#include "omni/geometry/thickness.h"

namespace omni::evaluation {
namespace {

constexpr int kVolumeResolution = 64;
constexpr std::size_t kSurfacePoints = 8192;
constexpr int kColourPoints = 2048;

}  // namespace

std::vector<Reconstruction> reconstruct(const tokenizers::ShapeTokenizer& tokenizer,
                                        const data::ObjectRecord& object, std::uint64_t seed) {
  const auto sample = data::make_shape_sample(object, tokenizer.required_input(), CounterRng(seed, 1));
  const auto visible =
      data::make_shape_sample(object, {.surface_points = kColourPoints}, CounterRng(seed, 2)).surface;
  const tokenizers::ShapeCodes codes = tokenizer.encode(std::span(&sample, 1))[0];
  const generation::MeshOptions mesh_options{.resolution = generation::default_mesh_resolution(tokenizer)};

  const geometry::OccupancyBits truth(*object.field, kVolumeResolution);
  const double thickness = geometry::mean_thickness(truth);
  std::vector<Reconstruction> all;
  for (const std::int64_t length : tokenizer.offered_lengths()) {
    tokenizers::ShapeCodes prefix = codes;
    prefix.geometry.resize(static_cast<std::size_t>(length));
    const auto decoded = std::move(tokenizer.decode(std::span(&prefix, 1))[0]);
    Reconstruction reconstruction{.codes = length, .metrics = {}, .mesh = {}, .shape_codes = prefix};
    reconstruction.metrics["thickness"] = thickness;
    reconstruction.metrics["iou"] =
        intersection_over_union(truth, geometry::OccupancyBits(*decoded, kVolumeResolution));
    if (decoded->has_colour())
      reconstruction.metrics["colour_error"] = geometry::mean_colour_error(*decoded, visible);
    reconstruction.mesh = generation::extract_mesh(*decoded, mesh_options).mesh;
    if (!reconstruction.mesh.triangles.empty()) {
      const auto surfaces =
          geometry::compare_surfaces(reconstruction.mesh, object.mesh, kSurfacePoints, CounterRng(seed, 3));
      reconstruction.metrics["cd_l1"] = surfaces.chamfer_l1;
      reconstruction.metrics["f1"] = surfaces.f_score_1;
      reconstruction.metrics["f2"] = surfaces.f_score_2;
      reconstruction.metrics["normals"] = surfaces.normal_consistency;
    }
    all.push_back(std::move(reconstruction));
  }
  return all;
}

}  // namespace omni::evaluation
