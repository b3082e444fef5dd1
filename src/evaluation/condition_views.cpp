#include "condition_views.h"

#include "omni/data/tokenize.h"
#include "omni/geometry/renderer.h"

namespace omni::evaluation {

std::vector<generation::View> choose_views(std::size_t number, std::size_t count) {
  const data::TokenizeOptions canonical;  // the set that training pictures are drawn from
  const std::size_t azimuths = canonical.azimuth_bins.size(), elevations = canonical.elevation_bins.size();
  std::vector<generation::View> views;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t turn = (number + i * azimuths / count) % azimuths;
    const std::size_t rise = (number / azimuths) % elevations;
    views.push_back({geometry::azimuth_of_bin(canonical.azimuth_bins[turn]),
                     geometry::elevation_of_bin(canonical.elevation_bins[rise])});
  }
  return views;
}

image::Image render_view(const geometry::Mesh& mesh, const generation::View& view, int pixels) {
  geometry::Camera camera;
  camera.azimuth_degrees = view.azimuth_degrees;
  camera.elevation_degrees = view.elevation_degrees;
  geometry::RenderOptions options;
  options.width = options.height = pixels;
  return geometry::Renderer(mesh).render(camera, options);
}

}  // namespace omni::evaluation
