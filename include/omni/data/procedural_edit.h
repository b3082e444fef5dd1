#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "omni/data/procedural_world.h"

namespace omni::data {

// An object of the procedural world and the same with one attribute, or the colour of one part, changed.
struct ProceduralEdit {
  std::int64_t before = 0, after = 0;  // objects
  std::string attribute;               // as in AttributeChange
  int part = -1;                       // whose colour changes; -1 for an attribute
};

// Every edit of the object to a value that training shows with its class: not to one that is held out.
std::vector<ProceduralEdit> edits_of(const ProceduralWorld& world, std::int64_t object);

// Which surfaces of the object after the edit are no mere copies of those before it.
class ChangedSurface {
 public:
  // Throws Error(usage) for a world with variation, where no two objects differ in one attribute alone.
  ChangedSurface(const ProceduralWorld& world, const ProceduralEdit& edit);
  ~ChangedSurface();
  ChangedSurface(ChangedSurface&&) noexcept;

  // Of points in the normalised frame of the object after the edit: 1 where the nearest of its solids has
  // other dimensions than before, or was not there, or is one of a number that changed; 0 where it is the
  // same, if perhaps in another place or scaled with the whole object. A colour changes no solid.
  std::vector<std::uint8_t> at(std::span<const geometry::Vec3> points) const;

 private:
  struct State;
  std::unique_ptr<const State> state_;
};

}  // namespace omni::data
