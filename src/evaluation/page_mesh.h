#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "omni/geometry/mesh.h"

namespace omni::evaluation {

// A mesh as the page's viewer (page/viewer.js) reads it, little-endian:
//   uint32 vertices, triangles, coloured (0 or 1); float32 low[3], step[3]
//   uint16 positions[vertices][3]: low + step * value
//   uint16 indices[triangles][3]
//   uint8 sRGB colours[vertices][3] where coloured
// With at most `triangles` triangles where it can be simplified. "" for an empty mesh, and for one with more
// vertices than 16 bits count.
std::string packed_mesh(geometry::Mesh mesh, std::size_t triangles);

// Mesh files in base64, for the page to hold: as many as fit into `limit` characters, in their order.
class PageMeshes {
 public:
  static constexpr std::size_t kLimit = std::size_t{8} << 20;

  PageMeshes() = default;
  // `files` are relative to `folder`.
  PageMeshes(const std::filesystem::path& folder, const std::vector<std::string>& files,
             std::size_t limit = kLimit);

  const std::string* find(const std::string& file) const;  // null where the page does not hold it
  std::size_t size() const { return packed_.size(); }
  std::size_t left_out() const { return left_out_; }  // beyond the limit; files that cannot be read are not

 private:
  std::map<std::string, std::string> packed_;
  std::size_t left_out_ = 0;
};

}  // namespace omni::evaluation
