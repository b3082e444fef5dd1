#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "omni/core/random.h"
#include "omni/data/object_source.h"
#include "omni/geometry/mesh.h"

namespace omni::evaluation {

// Points of the visible surface of an object, sorted by the colour of the part that they belong to.
struct PartSurface {
  std::vector<std::vector<geometry::Vec3>> points;  // by part; empty for a part that is not seen
  std::vector<geometry::Vec3> colours;              // by part, sRGB
};
// Draws `count` points on `surface` (the visible one) and gives each to the parts of the true colour there.
PartSurface make_part_surface(std::span<const data::ColouredPart> parts, const geometry::Mesh& surface,
                              const geometry::SolidField& truth, std::size_t count, CounterRng rng);

// Share of parts whose majority palette colour in `field`, at their surface points, is the true one; absent
// where no part is seen.
std::optional<double> colour_score(const geometry::SolidField& field, const PartSurface& surface);

// Share of the palette's colours that a prompt names, by their name or a synonym, that a coloured mesh shows
// on a twentieth of its surface at least: right for shapes that a prompt leaves open. Absent where the prompt
// names none.
std::optional<double> named_colour_score(const geometry::Mesh& mesh, std::string_view prompt);

}  // namespace omni::evaluation
