#pragma once

#include "omni/geometry/mesh.h"

namespace omni::geometry {

// Collapses edges of a closed manifold mesh with one vertex per position until at most `target_triangles` are
// left or no collapse is allowed. Costs are quadric errors (Garland and Heckbert, SIGGRAPH 1997) plus a
// little for crossing a colour border; a collapse is allowed where the link condition holds (Dey et al.,
// "Topology preserving edge contraction", 1999), so that the result is closed and manifold with the same
// genus, and where no face turns over.
Mesh collapse_edges(const Mesh& mesh, std::size_t target_triangles);

}  // namespace omni::geometry
