#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "omni/geometry/vector3.h"
#include "read_notes.h"

namespace omni::geometry {

// A texture of an MTL material. Coordinates (v upwards) are scaled, then moved, before they look it up.
struct MtlMap {
  std::string file;
  Vec3 scale{1, 1, 1}, offset{};
  bool clamp = false;
};

// What of a material gives colour. Colours are as the file has them; nothing where it says nothing.
struct MtlMaterial {
  std::string name;
  std::optional<Vec3> diffuse, emission;            // Kd, Ke
  std::optional<MtlMap> diffuse_map, emission_map;  // map_Kd, map_Ke
};

// Reads an MTL file (Wavefront, "MTL material format", 1995): keywords in any case, a name is the whole rest
// of its line, in quotes or not. What of it is broken, or of an unknown kind, is noted and left out.
std::vector<MtlMaterial> parse_mtl(std::string_view text, ReadNotes& notes);

// The rest of a statement as a name: without blanks around it and without quotes around it.
std::string_view mtl_name(std::string_view rest);

}  // namespace omni::geometry
