#include "mesh_object.h"

#include <algorithm>
#include <cmath>

#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/geometry/mesh_files.h"
#include "omni/geometry/mesh_frame.h"

namespace omni::data {
namespace {

namespace fs = std::filesystem;

// Beyond these a unit has gone wrong, and a data set does not hold such numbers.
constexpr float kSmallestSide = 1e-9f, kMaximumSide = 1e9f;

std::string defect(const geometry::Mesh& mesh) {
  if (mesh.triangles.empty()) return "it has no triangles";
  for (const geometry::Vec3 p : mesh.positions)
    if (!std::isfinite(p.x) || !std::isfinite(p.y) || !std::isfinite(p.z))
      return "a position is not a finite number";
  return "";
}

geometry::Vec3 with_y_up(const geometry::Vec3& v) { return {v.x, v.z, -v.y}; }

}  // namespace

void read_mesh_object(const fs::path& file, bool z_up, ObjectRecord& record,
                      std::vector<std::string>& warnings) {
  record.mesh = geometry::read_mesh(file, warnings);
  if (const std::string what = defect(record.mesh); !what.empty())
    fail(ErrorKind::input, "reading the mesh ", file, ": ", what);
  std::optional<geometry::Normalisation> frame = geometry::read_frame(file);
  if (z_up) {
    for (auto* vectors : {&record.mesh.positions, &record.mesh.normals})
      for (geometry::Vec3& v : *vectors) v = with_y_up(v);
    if (frame) frame->centre = with_y_up(frame->centre);
  }
  const geometry::Vec3 extent = record.mesh.bounds().extent();
  const geometry::Normalisation taken = geometry::normalise(record.mesh, frame);
  const bool as_told = frame && taken.centre == frame->centre && taken.scale == frame->scale;
  record.longest_side_m =
      as_told ? geometry::kNormalisedLongestSide / taken.scale : std::max({extent.x, extent.y, extent.z});
  if (!(record.longest_side_m >= kSmallestSide && record.longest_side_m <= kMaximumSide)) {
    fail(ErrorKind::input, "reading the mesh ", file, ": its longest side is ", record.longest_side_m,
         " m. Scale it to between ", kSmallestSide, " and ", kMaximumSide, " m");
  }
}

std::string caption_of_name(const fs::path& file) {
  std::string caption;
  for (const char c : file.stem().string()) {
    const bool gap = c == '_' || c == '-' || std::isspace(static_cast<unsigned char>(c)) != 0;
    if (!gap)
      caption += c;
    else if (!caption.empty() && caption.back() != ' ')
      caption += ' ';
  }
  if (!caption.empty() && caption.back() == ' ') caption.pop_back();
  return caption;
}

std::string class_of_path(const fs::path& folder, const fs::path& relative) {
  const fs::path parent = relative.parent_path();
  if (!parent.filename().empty() && parent.filename() != "." && parent.filename() != "..")
    return parent.filename().string();
  return fs::weakly_canonical(folder).filename().string();
}

std::vector<fs::path> mesh_files_below(const fs::path& folder) {
  std::vector<fs::path> files = files_below(folder);
  std::erase_if(files, [](const fs::path& file) { return !geometry::is_mesh_file(file); });
  return files;
}

}  // namespace omni::data
