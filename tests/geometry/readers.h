#pragma once

#include "mesh_formats.h"

namespace omni::geometry::testing {

// The readers of single formats, for tests that ask for the mesh alone.

inline Mesh read_gltf(std::span<const std::byte> bytes, const std::string& name,
                      const std::filesystem::path& folder = {}) {
  ReadNotes notes;
  return geometry::read_gltf(bytes, name, folder, notes);
}
inline Mesh read_obj(std::span<const std::byte> bytes, const std::string& name,
                     const std::filesystem::path& folder = {}) {
  ReadNotes notes;
  return geometry::read_obj(bytes, name, folder, notes);
}
inline Mesh read_ply(std::span<const std::byte> bytes, const std::string& name,
                     const std::filesystem::path& folder = {}) {
  ReadNotes notes;
  return geometry::read_ply(bytes, name, folder, notes);
}
inline Mesh read_stl(std::span<const std::byte> bytes, const std::string& name) {
  ReadNotes notes;
  return geometry::read_stl(bytes, name, notes);
}

}  // namespace omni::geometry::testing
