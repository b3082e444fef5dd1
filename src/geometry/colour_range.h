#pragma once

#include <cstddef>
#include <span>

#include "omni/geometry/vector3.h"

namespace omni::geometry {

// Colours that a file writes as numbers of no stated range: some programs count to 1, some to 255, some to
// 65,535. Brings all to 0 .. 1, as the largest of them tells; values that are just above 1 stay. Colours that
// are no finite numbers do not count, and become white; returns how many there were.
std::size_t bring_to_unit_range(std::span<Vec3> colours);

}  // namespace omni::geometry
