#include "omni/tokenizers/shape_sample.h"

namespace omni::tokenizers {

ShapeSample make_shape_sample(const geometry::Mesh& mesh, const geometry::SolidField& field,
                              const ShapeInput& input, CounterRng rng) {
  ShapeSample sample;
  if (input.grid_resolution > 0) {
    sample.grid =
        geometry::voxelise(field, input.grid_resolution, input.grid_half_extent, input.grid_samples_per_axis);
  }
  if (input.surface_points > 0) {
    sample.surface = geometry::sample_surface(mesh, static_cast<std::size_t>(input.surface_points), rng);
  }
  return sample;
}

}  // namespace omni::tokenizers
