#pragma once

#include "omni/geometry/mesh.h"

namespace omni::geometry {

// Collapses edges until at most `target_triangles` are left or no collapse is allowed (quadric errors:
// Garland and Heckbert, "Surface simplification using quadric error metrics", SIGGRAPH 1997). A closed
// manifold mesh stays one, of the same genus: a collapse that would break that is not made. Meshes that are
// open or have colour seams go through meshoptimizer, which keeps borders and seams. Colours are carried
// along; normals are computed anew if the input has some. Throws Error(input) for indices out of range.
Mesh simplify(const Mesh& mesh, std::size_t target_triangles);

// Drops connected components whose enclosed volume is below `share` of the largest one's. Components are
// connected over vertices at equal positions; open ones are judged by the volume that their faces sweep from
// their centre.
Mesh remove_floaters(const Mesh& mesh, double share);

// Area-weighted normals, shared by all vertices at a position.
void compute_smooth_normals(Mesh& mesh);

}  // namespace omni::geometry
