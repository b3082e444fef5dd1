#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "matrix4.h"

struct aiScene;

namespace omni::geometry {

// From the coordinates of a file that assimp read to metres and Y up, where its format states unit or axes
// that assimp leaves as they are: FBX (settings), 3MF (unit, millimetres without one; Z up), AMF (unit,
// millimetres without one), X3D (unit of length). Everything else is taken as it comes. `extension` as in
// ".fbx".
Matrix4 stated_frame(const aiScene& scene, std::span<const std::byte> bytes, const std::string& extension);

}  // namespace omni::geometry
