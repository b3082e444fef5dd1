#pragma once

#include <vector>

#include "omni/data/palette.h"
#include "omni/data/procedural_world.h"
#include "primitive.h"

namespace omni::data {

// What objects of the procedural world are made of.

std::vector<int> part_colours_of(const ProceduralWorld& world, std::int64_t object);  // palette indices
// In the normalised frame, and as the class's builder made them; in the same order.
std::vector<Primitive> primitives_of(const ProceduralWorld& world, std::int64_t object);
std::vector<Primitive> primitives_in_class_units(const ProceduralWorld& world, std::int64_t object);

}  // namespace omni::data
