#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "omni/geometry/vector3.h"

namespace omni::geometry {

// An indexed triangle mesh. Frame: right-handed, Y up, front towards +Z, as in glTF. Counter-clockwise
// triangles face outwards. `colours` (sRGB, 0 .. 1) and `normals` are per vertex and either empty or as long
// as `positions`.
struct Mesh {
  std::vector<Vec3> positions;
  std::vector<std::array<std::uint32_t, 3>> triangles;
  std::vector<Vec3> colours;
  std::vector<Vec3> normals;

  Bounds bounds() const;
  double surface_area() const;
  double signed_volume() const;  // by the divergence theorem; meaningful for closed meshes
};

// Adds the source's triangles. Colours missing on one side become white; normals are dropped unless both have
// them. Throws Error(input) for more vertices than 32 bits count.
void append(Mesh& target, const Mesh& source);

// The frame in which tokenizers see shapes: the bounding box is centred at the origin and its longest side
// is 1.92.
inline constexpr float kNormalisedLongestSide = 1.92f;

struct Normalisation {
  Vec3 centre;      // of the bounding box, in the source frame
  float scale = 1;  // normalised = (source - centre) * scale
};
Normalisation normalise(Mesh& mesh);  // throws Error(input) for a mesh without extent

}  // namespace omni::geometry
