// Loads nothing and trains nothing: it shows that the installed headers and library are enough to build and
// run.
#include <iostream>

#include "omni/core/random.h"
#include "omni/geometry/iso_surface.h"
#include "omni/geometry/mesh_health.h"
#include "omni/sequence/vocabulary.h"

int main() {
  using namespace omni;
  const auto ball = [](std::span<const geometry::Vec3> points, std::span<float> values) {
    for (std::size_t i = 0; i < points.size(); ++i) values[i] = 0.8f - geometry::length(points[i]);
  };
  const geometry::Mesh mesh = geometry::extract_iso_surface(ball, {.resolution = 32}).mesh;
  const geometry::MeshHealth health = geometry::inspect(mesh);
  const sequence::Vocabulary vocabulary =
      sequence::make_vocabulary({.text = 512, .image = 256, .geometry = 256, .colour = 64, .views = {24, 7}});
  std::cout << "ball: volume " << health.volume << ", vocabulary of " << vocabulary.size() << " tokens\n";
  return health.closed() && health.manifold() && vocabulary.size() > 0 ? 0 : 1;
}
