#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "omni/data/object_source.h"

namespace omni::training {

// Distances of points from the surface of an object's solid, positive where `inside` says so. The object is
// scaled by `scale` along each axis; points are in the scaled frame. Where the solid is a closed form, parts
// of the mesh that are buried in others do not count.
std::vector<float> signed_distances(const data::ObjectRecord& record, geometry::Vec3 scale,
                                    std::span<const geometry::Vec3> points,
                                    std::span<const std::uint8_t> inside);

// Those triangles of a mesh that have the outside on one side at least, after dividing long ones.
geometry::Mesh visible_surface(const geometry::Mesh& mesh, const geometry::SolidField& field);

}  // namespace omni::training
