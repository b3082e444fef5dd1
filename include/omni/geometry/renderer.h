#pragma once

#include <memory>

#include "omni/geometry/camera.h"
#include "omni/geometry/mesh.h"
#include "omni/image/image.h"

namespace omni::geometry {

struct RenderOptions {
  int width = 64, height = 64;
  int samples_per_axis = 2;        // anti-aliasing: samples_per_axis^2 rays a pixel
  Vec3 background{1, 1, 1};        // sRGB
  bool use_vertex_colours = true;  // otherwise light grey
};

// Ray casting with Embree over one mesh; a head light with a little ambient light. Colours are interpolated
// and shaded in linear RGB. Thread-safe: one renderer may draw many views at once.
class Renderer {
 public:
  explicit Renderer(const Mesh& mesh);  // copies what it needs
  ~Renderer();
  // RGB, width x height. Throws Error(usage) for a camera that is not finite or whose field of view is not
  // between 0 and 180 degrees.
  image::Image render(const Camera& camera, const RenderOptions& options) const;

 private:
  struct Scene;
  std::unique_ptr<Scene> scene_;
};

}  // namespace omni::geometry
