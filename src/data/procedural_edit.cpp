#include "omni/data/procedural_edit.h"

#include <algorithm>
#include <cmath>

#include "omni/core/error.h"
#include "omni/data/edit_instructions.h"
#include "primitive_solid.h"
#include "procedural_parts.h"

namespace omni::data {
namespace {

constexpr float kSameSize = 1e-3f;  // above rounding, below any two bins' difference

bool near(float a, float b) {
  return std::abs(a - b) <= kSameSize * std::max({1.0f, std::abs(a), std::abs(b)});
}
bool near(geometry::Vec3 a, geometry::Vec3 b) { return near(a.x, b.x) && near(a.y, b.y) && near(a.z, b.z); }

bool same_solid(const Primitive& a, const Primitive& b) {
  return a.kind == b.kind && a.part == b.part && near(a.half, b.half) && near(a.ratio, b.ratio);
}

std::int64_t count_like(const std::vector<Primitive>& primitives, const Primitive& wanted) {
  return std::count_if(primitives.begin(), primitives.end(),
                       [&](const Primitive& other) { return same_solid(other, wanted); });
}

using Held = std::vector<std::pair<std::string, std::string>>;
bool is_held_out(const Held& held, const std::string& attribute, const std::string& value) {
  return std::find(held.begin(), held.end(), std::pair(attribute, value)) != held.end();
}

// How many objects one step of each attribute's bin is away.
std::vector<std::int64_t> strides_of(const ProceduralClass& kind) {
  std::vector<std::int64_t> strides(kind.attributes.size());
  std::int64_t stride = kind.colourings;
  for (std::size_t a = strides.size(); a-- > 0;) {
    strides[a] = stride;
    stride *= static_cast<std::int64_t>(kind.attributes[a].second.size());
  }
  return strides;
}

void add_attribute_edits(const ProceduralWorld& world, std::int64_t object,
                         std::vector<ProceduralEdit>& edits) {
  const ProceduralClass& kind = world.class_info(world.class_of(object));
  const std::vector<std::int64_t> strides = strides_of(kind);
  for (std::size_t a = 0; a < strides.size(); ++a) {
    const auto& [name, words] = kind.attributes[a];
    const auto bins = static_cast<std::int64_t>(words.size());
    const std::int64_t bin = (object - kind.first_object) / strides[a] % bins;
    for (std::int64_t other = 0; other < bins; ++other) {
      const std::string& word = words[static_cast<std::size_t>(other)];
      if (other == bin || is_held_out(kind.held_out_attributes, name, word) ||
          is_held_out(kind.held_out_counts, name, word))
        continue;
      edits.push_back({object, object + (other - bin) * strides[a], name, -1});
    }
  }
}

void add_colour_edits(const ProceduralWorld& world, std::int64_t object, std::vector<ProceduralEdit>& edits) {
  const ProceduralClass& kind = world.class_info(world.class_of(object));
  const std::vector<int> colours = part_colours_of(world, object);
  const std::int64_t first = world.first_object_of_geometry(world.geometry_of(object));
  for (std::int64_t other = first; other < first + kind.colourings; ++other) {
    const std::vector<int> changed = part_colours_of(world, other);
    int part = -1, differences = 0;
    for (std::size_t p = 0; p < colours.size(); ++p) {
      if (colours[p] == changed[p]) continue;
      part = static_cast<int>(p);
      ++differences;
    }
    if (differences != 1) continue;
    const std::string name(palette()[static_cast<std::size_t>(changed[static_cast<std::size_t>(part)])].name);
    const auto& held = kind.held_out_colours;
    if (part == 0 && std::find(held.begin(), held.end(), name) != held.end()) continue;
    edits.push_back(
        {object, other, colour_attribute(kind.parts[static_cast<std::size_t>(part)].first), part});
  }
}

}  // namespace

std::vector<ProceduralEdit> edits_of(const ProceduralWorld& world, std::int64_t object) {
  std::vector<ProceduralEdit> edits;
  add_attribute_edits(world, object, edits);
  add_colour_edits(world, object, edits);
  return edits;
}

struct ChangedSurface::State {
  PrimitiveSolid solid;  // of two parts: what stayed and what changed
};

ChangedSurface::ChangedSurface(const ProceduralWorld& world, const ProceduralEdit& edit) {
  if (world.variation() > 0)
    fail(ErrorKind::usage, "looking for what an edit changes: objects of a procedural world with variation ",
         world.variation(), " differ in every size. Take a world of variation 0");
  const std::vector<Primitive> before = primitives_in_class_units(world, edit.before),
                               after = primitives_in_class_units(world, edit.after);
  std::vector<Primitive> placed = primitives_of(world, edit.after);
  for (std::size_t i = 0; i < placed.size(); ++i)
    placed[i].part = count_like(before, after[i]) == count_like(after, after[i]) ? 0 : 1;
  state_ = std::make_unique<State>(
      State{PrimitiveSolid(std::move(placed), {geometry::Vec3{0, 0, 0}, geometry::Vec3{1, 1, 1}})});
}

ChangedSurface::~ChangedSurface() = default;
ChangedSurface::ChangedSurface(ChangedSurface&&) noexcept = default;

std::vector<std::uint8_t> ChangedSurface::at(std::span<const geometry::Vec3> points) const {
  std::vector<std::uint8_t> changed;
  changed.reserve(points.size());
  for (const geometry::Vec3 point : points)
    changed.push_back(static_cast<std::uint8_t>(state_->solid.part_at(point)));
  return changed;
}

}  // namespace omni::data
