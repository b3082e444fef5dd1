#include "sample_files.h"

#include <vector>

#include "omni/core/files.h"
#include "omni/generation/mesh_export.h"
#include "omni/geometry/mesh_files.h"

namespace omni::evaluation {

namespace fs = std::filesystem;

fs::path SampleFiles::path_of(const std::string& name, const char* extension) const {
  std::string file;
  for (const char c : name) {
    const bool plain = std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_' || c == '.';
    file += plain ? c : '-';
  }
  prepare_output_directory(output_ / "samples");
  return fs::path("samples") / (file + extension);
}

std::string SampleFiles::save_strip(const std::string& name, const geometry::Mesh& mesh) const {
  const fs::path path = path_of(name, ".png");
  if (mesh.triangles.empty()) {
    image::write_png(output_ / path, image::Image(kStripViews * pixels_, pixels_, 3, 255));
  } else {
    image::write_png(
        output_ / path,
        image::contact_sheet(generation::render_around(mesh, pixels_, kStripViews), kStripViews, 0));
  }
  return path.string();
}

std::string SampleFiles::save_pictures(const std::string& name,
                                       std::span<const image::Image> pictures) const {
  const fs::path path = path_of(name, ".png");
  image::write_png(output_ / path, image::contact_sheet(pictures, static_cast<int>(pictures.size()), 2));
  return path.string();
}

std::string SampleFiles::save_mesh(const std::string& name, const geometry::Mesh& mesh) const {
  if (mesh.triangles.empty()) return "";
  const fs::path path = path_of(name, ".glb");
  geometry::write_mesh(output_ / path, mesh);
  return path.string();
}

}  // namespace omni::evaluation
