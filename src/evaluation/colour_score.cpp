#include "omni/evaluation/colour_score.h"

#include <algorithm>

#include "omni/data/palette.h"
#include "omni/data/synonyms.h"
#include "omni/geometry/surface_points.h"
#include "omni/tokenizers/caption_text.h"

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

std::optional<double> named_colour_score(const geometry::Mesh& mesh, std::string_view prompt) {
  constexpr std::size_t kPoints = 2048, kLeastPoints = kPoints / 20;
  const std::vector<std::string> words = tokenizers::caption_words(prompt);
  std::vector<std::size_t> named;
  for (std::size_t i = 0; i < data::palette().size(); ++i) {
    std::vector<std::string> names = data::words_like(data::palette()[i].name);
    names.emplace_back(data::palette()[i].name);
    const auto is_named = [&](const std::string& word) {
      return std::ranges::find(names, word) != names.end();
    };
    if (std::ranges::any_of(words, is_named)) named.push_back(i);
  }
  if (named.empty()) return std::nullopt;
  std::vector<std::size_t> votes(data::palette().size(), 0);
  if (!mesh.triangles.empty() && !mesh.colours.empty()) {
    CounterRng rng(1);
    const geometry::SurfacePoints points = geometry::sample_surface(mesh, kPoints, rng);
    for (const Vec3 colour : points.colours)
      ++votes[static_cast<std::size_t>(data::nearest_palette_colour(colour))];
  }
  const auto shown = std::ranges::count_if(named, [&](std::size_t i) { return votes[i] >= kLeastPoints; });
  return static_cast<double>(shown) / static_cast<double>(named.size());
}

}  // namespace omni::evaluation
