#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "../../src/geometry/read_mtl.h"

// Materials with finite colours and maps, and one note for each kind of flaw.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace omni::geometry;
  const auto check = [](const Vec3& v) {
    if (!std::isfinite(v.x) || !std::isfinite(v.y) || !std::isfinite(v.z)) std::abort();
  };
  ReadNotes notes;
  for (const MtlMaterial& material : parse_mtl({reinterpret_cast<const char*>(data), size}, notes)) {
    for (const auto& colour : {material.diffuse, material.emission})
      if (colour) check(*colour);
    for (const auto& map : {material.diffuse_map, material.emission_map}) {
      if (!map) continue;
      check(map->scale);
      check(map->offset);
      if (map->file.empty()) std::abort();
    }
  }
  if (notes.notes().size() > 8) std::abort();
  return 0;
}
