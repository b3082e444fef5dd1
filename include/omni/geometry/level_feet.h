#pragma once

#include "omni/geometry/mesh.h"

namespace omni::geometry {

// Makes the feet of a mesh end at one height. A foot is a connected part of the surface within 6 % of the
// height above the lowest point; where there are several and one ends less than 3 % of the height too high,
// that part is stretched down to the lowest point's height. Triangles, colours and all that lies higher stay
// as they are; normals are not made anew. A part that ends higher is taken to be meant so.
void level_feet(Mesh& mesh);

}  // namespace omni::geometry
