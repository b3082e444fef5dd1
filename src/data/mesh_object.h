#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "omni/data/object_source.h"

namespace omni::data {

// A mesh file as an object of a data set: what importing one and reading one where it lies have in common.

// Reads the file into record.mesh, normalised, and record.longest_side_m: of a GLB that tells its frame (see
// omni/geometry/mesh_frame.h), in that. `z_up`: the file's up axis is Z instead of Y. `warnings` receives what the mesh is
// without. Throws Error(io), and Error(input) for what is not a mesh or has no triangles, positions that are not finite or
// an impossible size.
void read_mesh_object(const std::filesystem::path& file, bool z_up, ObjectRecord& record,
                      std::vector<std::string>& warnings);

// "inner/old_wooden-chair.glb" -> "old wooden chair"; "" where the name holds nothing to read.
std::string caption_of_name(const std::filesystem::path& file);

// The name of the folder that `relative` lies in, below `folder`.
std::string class_of_path(const std::filesystem::path& folder, const std::filesystem::path& relative);

// The mesh files below a folder, sorted. Throws Error(io).
std::vector<std::filesystem::path> mesh_files_below(const std::filesystem::path& folder);

}  // namespace omni::data
