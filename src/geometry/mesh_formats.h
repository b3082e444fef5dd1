#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "omni/geometry/mesh.h"
#include "read_notes.h"

namespace omni::geometry {

static_assert(std::endian::native == std::endian::little,
              "mesh files are read and written on little-endian machines");

// Readers of one format each. `name` appears in errors; all throw Error(input). `folder` is where files
// beside the mesh (buffers, textures, materials) may be read from; empty means that there are none. `notes`
// receives what is left out.
Mesh read_gltf(std::span<const std::byte> bytes, const std::string& name, const std::filesystem::path& folder,
               ReadNotes& notes);
Mesh read_obj(std::span<const std::byte> bytes, const std::string& name, const std::filesystem::path& folder,
              ReadNotes& notes);
Mesh read_ply(std::span<const std::byte> bytes, const std::string& name, const std::filesystem::path& folder,
              ReadNotes& notes);
Mesh read_stl(std::span<const std::byte> bytes, const std::string& name, ReadNotes& notes);
Mesh read_with_assimp(std::span<const std::byte> bytes, const std::string& name, const std::string& extension,
                      const std::filesystem::path& folder, ReadNotes& notes);

std::string encode_obj(const Mesh& mesh);
std::vector<std::byte> encode_ply(const Mesh& mesh);
std::vector<std::byte> encode_stl(const Mesh& mesh);

// Makes true what every reader promises of its result, or throws Error(input): at least one triangle, every
// vertex used, finite positions, colours within 0 .. 1, finite normals or none. Triangles without an area
// that touch no other triangle go: nobody sees them, but they would stretch the box.
void finish_read_mesh(Mesh& mesh, const std::string& name, ReadNotes& notes);
// What every writer asks of its input; throws Error(input).
void check_written_mesh(const Mesh& mesh);

// Appends a number's bytes, little-endian.
template <class T>
void append_bytes(std::vector<std::byte>& bytes, const T& value) {
  const auto* begin = reinterpret_cast<const std::byte*>(&value);
  bytes.insert(bytes.end(), begin, begin + sizeof(T));
}

// Of an asset's extras in GLB: centre x, y, z and scale of the frame; see mesh_frame.h.
inline constexpr const char* kFrameKey = "omni_frame";

}  // namespace omni::geometry
