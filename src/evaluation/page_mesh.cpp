#include "page_mesh.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "html.h"
#include "omni/core/error.h"
#include "omni/core/log.h"
#include "omni/core/parallel.h"
#include "omni/geometry/mesh_files.h"
#include "omni/geometry/simplification.h"

namespace omni::evaluation {
namespace {

// Enough for a viewer as large as a page, at a hundred kilobytes.
constexpr std::size_t kTriangles = 6000;
constexpr float kLevels = 65535;

static_assert(std::endian::native == std::endian::little);

template <class Value>
void append_value(std::string& bytes, Value value) {
  char raw[sizeof value];
  std::memcpy(raw, &value, sizeof value);
  bytes.append(raw, sizeof value);
}

void append_vector(std::string& bytes, geometry::Vec3 vector) {
  for (std::size_t axis = 0; axis < 3; ++axis) append_value(bytes, vector[axis]);
}

std::string read_packed(const std::filesystem::path& file) {
  try {
    return base64(packed_mesh(geometry::read_mesh(file), kTriangles));
  } catch (const Error& error) {
    log_warning("the page shows a mesh as pictures alone: ", error.what());
    return "";
  }
}

}  // namespace

std::string packed_mesh(geometry::Mesh mesh, std::size_t triangles) {
  if (mesh.triangles.size() > triangles) mesh = geometry::simplify(mesh, triangles);
  if (mesh.triangles.empty() || mesh.positions.size() > std::numeric_limits<std::uint16_t>::max()) return "";
  const geometry::Bounds bounds = mesh.bounds();
  const geometry::Vec3 step = bounds.extent() * (1 / kLevels);
  std::string bytes;
  append_value(bytes, static_cast<std::uint32_t>(mesh.positions.size()));
  append_value(bytes, static_cast<std::uint32_t>(mesh.triangles.size()));
  append_value(bytes, std::uint32_t{mesh.colours.empty() ? 0u : 1u});
  append_vector(bytes, bounds.low);
  append_vector(bytes, step);
  for (const geometry::Vec3& position : mesh.positions) {
    for (std::size_t axis = 0; axis < 3; ++axis) {
      const float level = step[axis] > 0 ? (position[axis] - bounds.low[axis]) / step[axis] : 0;
      append_value(bytes, static_cast<std::uint16_t>(std::lround(std::clamp(level, 0.0f, kLevels))));
    }
  }
  for (const auto& triangle : mesh.triangles)
    for (const std::uint32_t vertex : triangle) append_value(bytes, static_cast<std::uint16_t>(vertex));
  for (const geometry::Vec3& colour : mesh.colours)
    for (std::size_t channel = 0; channel < 3; ++channel)
      bytes += static_cast<char>(std::lround(255 * std::clamp(colour[channel], 0.0f, 1.0f)));
  return bytes;
}

PageMeshes::PageMeshes(const std::filesystem::path& folder, const std::vector<std::string>& files,
                       std::size_t limit) {
  std::vector<std::string> packed(files.size());
  parallel_for(static_cast<std::int64_t>(files.size()), 1, [&](std::int64_t begin, std::int64_t) {
    const auto i = static_cast<std::size_t>(begin);
    packed[i] = read_packed(folder / files[i]);
  });
  std::size_t held = 0;
  for (std::size_t i = 0; i < files.size(); ++i) {
    if (packed[i].empty()) continue;
    if (held + packed[i].size() > limit) {
      ++left_out_;
      continue;
    }
    held += packed[i].size();
    packed_.emplace(files[i], std::move(packed[i]));
  }
}

const std::string* PageMeshes::find(const std::string& file) const {
  const auto found = packed_.find(file);
  return found == packed_.end() ? nullptr : &found->second;
}

}  // namespace omni::evaluation
