#pragma once

#include <filesystem>
#include <vector>

#include "omni/data/object_source.h"
#include "omni/geometry/mesh_field.h"

namespace omni::data {

// The mesh files below a folder, read where they lie. Throws Error(io), Error(input) where there is none.
class MeshFolderSource : public ObjectSource {
 public:
  MeshFolderSource(const std::filesystem::path& folder, const geometry::MeshFieldOptions& labels);

  std::int64_t size() const override { return static_cast<std::int64_t>(files_.size()); }
  ObjectRecord load(std::int64_t index) const override;
  ObjectRecord describe(std::int64_t index) const override;
  // Of the meshes' names and bytes, all of which it reads, and of the labels. What lies beside a mesh
  // (textures, buffers) is not seen.
  std::uint64_t fingerprint() const override;

 private:
  const std::filesystem::path& file(std::int64_t index) const;

  std::filesystem::path folder_;
  geometry::MeshFieldOptions labels_;
  std::vector<std::filesystem::path> files_;
};

}  // namespace omni::data
