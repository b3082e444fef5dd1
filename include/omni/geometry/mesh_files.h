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
// vertex colours (vertices are split where a texture needs it). Warnings tell what is left out. Throws
// Error(io) or Error(input), naming the file.
Mesh read_mesh(const std::filesystem::path& path);
// The same; what would be logged is appended to `warnings`: for each kind of thing that is left out, words
// that go on from the file's name, "is read without textures (2, the first: ...)".
Mesh read_mesh(const std::filesystem::path& path, std::vector<std::string>& warnings);

// Whether the ending is one of the common mesh formats that read_mesh() reads.
bool is_mesh_file(const std::filesystem::path& path);

// Whether the ending is one that write_mesh() writes.
bool is_written_mesh_file(const std::filesystem::path& path);
// A .glb (COLOR_0 linear), .obj, .ply (sRGB) or .stl (no colours) file, as the ending of `path` says. Throws
// Error(usage) for another ending.
std::vector<std::byte> encode_mesh(const Mesh& mesh, const std::filesystem::path& path);
void write_mesh(const std::filesystem::path& path, const Mesh& mesh);  // atomic; throws as encode_mesh
std::vector<std::byte> encode_glb(const Mesh& mesh);
// As read_mesh(); `name` appears in errors.
Mesh decode_glb(std::span<const std::byte> bytes, const std::string& name);

}  // namespace omni::geometry
