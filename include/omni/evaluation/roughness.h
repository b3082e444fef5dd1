#pragma once

#include "omni/geometry/mesh.h"

namespace omni::evaluation {

// Mean angle in degrees between the two triangles at an edge, by their areas, over edges where it is below 60
// degrees (a true edge is not rough). 0 for a cube; h / (sqrt(3) R) radians for a sphere of radius R in
// equilateral triangles of side h << R. It depends on the size of the triangles and on the curvature that a
// shape should have, so it compares meshes of one shape and resolution. 0 without such edges.
double dihedral_roughness(const geometry::Mesh& mesh);

}  // namespace omni::evaluation
