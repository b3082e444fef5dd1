#pragma once

#include <cstring>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "analytic_shapes.h"
#include "omni/core/error.h"
#include "omni/core/random.h"
#include "omni/geometry/mesh.h"

namespace omni::geometry::testing {

// Coloured meshes for tests of files and pictures.

// +X red, -X cyan, +Y green, -Y magenta, +Z blue, -Z yellow.
inline Mesh six_colour_box(float half = 0.5f) {
  Mesh mesh = box_mesh({half, half, half}, 1);
  const Vec3 colours[6] = {{0, 1, 1}, {1, 0, 0}, {1, 0, 1}, {0, 1, 0}, {1, 1, 0}, {0, 0, 1}};
  for (std::size_t i = 0; i < mesh.positions.size(); ++i) mesh.colours.push_back(colours[i / 4]);
  return mesh;
}

// A bumpy sphere with a colour and a normal of its own at every vertex.
inline Mesh painted_sphere() {
  Mesh mesh = sphere_mesh(1, 4);
  CounterRng rng(3);
  for (Vec3& p : mesh.positions) {
    mesh.normals.push_back(normalised(p));
    mesh.colours.push_back({float(rng.uniform()), float(rng.uniform()), float(rng.uniform())});
    p *= float(rng.uniform(0.7, 1.3));
  }
  return mesh;
}

inline std::vector<std::byte> to_bytes(std::string_view text) {
  std::vector<std::byte> bytes(text.size());
  if (!text.empty()) std::memcpy(bytes.data(), text.data(), text.size());
  return bytes;
}

// The message of the Error(input) that `action` must throw.
inline std::string input_error(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.kind() == ErrorKind::input ? error.what() : std::string("another kind: ") + error.what();
  }
  return "no error";
}

}  // namespace omni::geometry::testing
