#pragma once

#include "omni/geometry/mesh.h"

namespace omni::geometry {

struct SmoothingOptions {
  int normal_rounds = 6;      // how often the triangles' normals are averaged
  int vertex_rounds = 12;     // how often the vertices are moved towards what the normals say
  float crease_degrees = 25;  // normals that differ by much more belong to different sides of an edge
  double furthest_edges = 1;  // how far a vertex may move, in mean edge lengths
};

// Takes lumps off a surface and leaves its edges: bilateral filtering of the triangles' normals (Zheng, Fu,
// Au and Tai 2011), then of the vertices by them (Sun, Rosin, Martin and Langbein 2007). Triangles and
// colours stay as they are, so a closed mesh stays closed; normals of vertices are not made anew.
void smooth(Mesh& mesh, const SmoothingOptions& options = {});

}  // namespace omni::geometry
