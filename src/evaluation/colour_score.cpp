#include "omni/evaluation/colour_score.h"

#include <algorithm>

#include "omni/data/palette.h"
#include "omni/geometry/surface_points.h"

namespace omni::evaluation {

using geometry::Vec3;

PartSurface make_part_surface(std::span<const data::ColouredPart> parts, const geometry::Mesh& surface,
                              const geometry::SolidField& truth, std::size_t count, CounterRng rng) {
  constexpr float kSameColour = 0.01f;  // above 8-bit rounding, below the palette's distances
  PartSurface result;
  result.points.resize(parts.size());
  for (const data::ColouredPart& part : parts) result.colours.push_back(part.colour);
  if (parts.empty() || surface.triangles.empty()) return result;
  const std::vector<Vec3> points = geometry::sample_surface(surface, count, rng).positions;
  std::vector<Vec3> colours(points.size());
  truth.colour(points, colours);
  for (std::size_t i = 0; i < points.size(); ++i) {
    for (std::size_t part = 0; part < parts.size(); ++part) {
      if (length(colours[i] - parts[part].colour) < kSameColour) result.points[part].push_back(points[i]);
    }
  }
  return result;
}

std::optional<double> colour_score(const geometry::SolidField& field, const PartSurface& surface) {
  int seen = 0, right = 0;
  for (std::size_t part = 0; part < surface.points.size(); ++part) {
    const std::vector<Vec3>& points = surface.points[part];
    if (points.empty()) continue;
    std::vector<Vec3> colours(points.size());
    field.colour(points, colours);
    std::vector<int> votes(data::palette().size(), 0);
    for (const Vec3 colour : colours) {
      ++votes[static_cast<std::size_t>(data::nearest_palette_colour(colour))];
    }
    const auto majority = static_cast<int>(std::max_element(votes.begin(), votes.end()) - votes.begin());
    ++seen;
    right += majority == data::nearest_palette_colour(surface.colours[part]) ? 1 : 0;
  }
  if (seen == 0) return std::nullopt;
  return static_cast<double>(right) / seen;
}

}  // namespace omni::evaluation
