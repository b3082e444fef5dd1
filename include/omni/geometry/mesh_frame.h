#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <span>
#include <vector>

#include "omni/geometry/mesh.h"

namespace omni::geometry {

// A mesh that was decoded from codes fills the frame of tokenizers nearly, not exactly: by its own bounding box
// it would be read as another shape than it was. GLB files can say where the frame lies.

// As encode_glb(), with `frame`: where the frame lies in the mesh's coordinates.
std::vector<std::byte> encode_glb(const Mesh& mesh, const Normalisation& frame);
// What such a file says; nothing for other files and for damaged ones, which read_mesh() names. Throws
// Error(io).
std::optional<Normalisation> read_frame(const std::filesystem::path& path);
std::optional<Normalisation> frame_of_glb(std::span<const std::byte> bytes);

// Takes the mesh into the frame that a file told, where it about fills it; else as normalise().
Normalisation normalise(Mesh& mesh, const std::optional<Normalisation>& frame);

}  // namespace omni::geometry
