#pragma once

#include "omni/core/random.h"
#include "omni/geometry/mesh.h"
#include "omni/geometry/mesh_field.h"
#include "omni/geometry/surface_points.h"

namespace omni::geometry {

struct SurfaceComparison {
  double chamfer_l1 = 0;          // mean of the two unsquared directed mean distances
  double f_score_1 = 0;           // threshold 1 % of the target's bounding-box diagonal
  double f_score_2 = 0;           // 2 %
  double normal_consistency = 0;  // mean |n . n'| over nearest pairs, both directions
};

// Compares normalised copies (longest side 1.92) by `points` samples of each surface, without registration.
// Distances are in units of the normalised frame. Throws Error(usage) for no points, Error(input) for a mesh
// without extent or area.
SurfaceComparison compare_surfaces(const Mesh& candidate, const Mesh& target, std::size_t points,
                                   CounterRng rng);

// Intersection over union of the surfaces themselves, on a grid of resolution^3 points over [-half_extent,
// half_extent]^3: a point belongs to a surface if it lies within half the diagonal of a cell. Needs no
// inside, so it judges open meshes and thin walls, too.
double surface_iou(const MeshField& a, const MeshField& b, int resolution = 64, float half_extent = 1.0f);

// Mean absolute difference of the field's colours from those at the points, over points and channels, 0 ..
// 255 (sRGB). 0 without points.
double mean_colour_error(const SolidField& field, const SurfacePoints& surface);

}  // namespace omni::geometry
