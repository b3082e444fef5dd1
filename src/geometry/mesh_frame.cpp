#include "omni/geometry/mesh_frame.h"

#include <algorithm>
#include <cmath>

#include "gltf_document.h"
#include "mesh_formats.h"
#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/geometry/mesh_files.h"

namespace omni::geometry {
namespace {

// A decoded shape misses the frame by a cell or two of its grid; what is further off was changed since.
constexpr float kMostStretch = 1.1f, kFarthestCentre = 0.15f;

bool about_fills(const Bounds& bounds, const Normalisation& frame) {
  const Vec3 extent = bounds.extent() * frame.scale;
  const Vec3 centre = (bounds.centre() - frame.centre) * frame.scale;
  const float longest = std::max({extent.x, extent.y, extent.z}) / kNormalisedLongestSide;
  const float off = std::max({std::abs(centre.x), std::abs(centre.y), std::abs(centre.z)});
  return longest < kMostStretch && longest > 1 / kMostStretch && off < kFarthestCentre;
}

}  // namespace

std::optional<Normalisation> read_frame(const std::filesystem::path& path) {
  if (lower_extension(path) != ".glb") return {};
  return frame_of_glb(read_file_bytes(path));
}

std::optional<Normalisation> frame_of_glb(std::span<const std::byte> bytes) {
  try {
    ReadNotes notes;
    const GltfDocument document(bytes, "a GLB", {}, notes);
    const nlohmann::json* asset = json_member(document.json(), "asset");
    const nlohmann::json* extras = asset != nullptr ? json_member(*asset, "extras") : nullptr;
    double values[4] = {};
    if (extras == nullptr || !extras->is_object() || !json_numbers(*extras, kFrameKey, values, 4, "a GLB") ||
        !(values[3] > 0))
      return {};
    const auto number = [&](int i) { return static_cast<float>(values[i]); };
    return Normalisation{{number(0), number(1), number(2)}, number(3)};
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::input) throw;
    return {};
  }
}

Normalisation normalise(Mesh& mesh, const std::optional<Normalisation>& frame) {
  const Bounds bounds = mesh.bounds();
  if (!frame || bounds.empty() || !about_fills(bounds, *frame)) return normalise(mesh);
  for (Vec3& position : mesh.positions) position = (position - frame->centre) * frame->scale;
  return *frame;
}

}  // namespace omni::geometry
