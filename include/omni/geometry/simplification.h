#pragma once

#include "omni/geometry/mesh.h"

namespace omni::geometry {

// Collapses edges until about `target_triangles` are left. A closed manifold mesh stays one: where a collapse
// would break that, fewer are made.
Mesh simplify(const Mesh& mesh, std::size_t target_triangles);
// Drops connected components whose volume is below `share` of the largest one's.
Mesh remove_floaters(const Mesh& mesh, double share);
void compute_smooth_normals(Mesh& mesh);

}  // namespace omni::geometry
