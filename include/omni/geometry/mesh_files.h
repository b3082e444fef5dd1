#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "omni/geometry/mesh.h"

namespace omni::geometry {

// Reads GLB, glTF, OBJ (+MTL), PLY, STL, and whatever else assimp knows, into one mesh in metres, Y up:
// node transforms applied, primitives joined, textures, vertex colours and material factors turned into
// vertex colours (vertices are split where a texture needs it). Throws Error(io) or Error(input), naming the
// file.
Mesh read_mesh(const std::filesystem::path& path);

// Whether the ending is one of the common mesh formats that read_mesh() reads.
bool is_mesh_file(const std::filesystem::path& path);

// Writes .glb (COLOR_0 linear), .obj, .ply (sRGB) or .stl (no colours), by extension; atomic.
// Throws Error(usage) for another extension.
void write_mesh(const std::filesystem::path& path, const Mesh& mesh);
std::vector<std::byte> encode_glb(const Mesh& mesh);
Mesh decode_glb(std::span<const std::byte> bytes, const std::string& name);

}  // namespace omni::geometry
