#include "condition_views.h"

#include "omni/geometry/renderer.h"

namespace omni::evaluation {

std::vector<generation::View> choose_views(std::size_t number, std::size_t count) {
  // Eight azimuths at 15 degrees above the ground.
  constexpr std::size_t azimuths = 8;
  std::vector<generation::View> views;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t turn = (number + i * azimuths / std::max<std::size_t>(1, count)) % azimuths;
    views.push_back({static_cast<float>(turn) * 45.0f, 15.0f});
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
