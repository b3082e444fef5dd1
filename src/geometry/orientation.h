#pragma once

#include "topology.h"

namespace omni::geometry {

struct OrientationConsistency {
  // Share of the edges with two or more faces whose faces run along them equally often in both directions; 1
  // for a mesh without such edges.
  double agreeing_edges = 1;
  double cancelled_area = 0;  // share of the area of faces that coincide with an opposite one
  bool closed = false;        // no edge with one face
  double score() const { return agreeing_edges * (1 - cancelled_area); }
};

OrientationConsistency measure_orientation(const Mesh& mesh, const Topology& topology);

}  // namespace omni::geometry
