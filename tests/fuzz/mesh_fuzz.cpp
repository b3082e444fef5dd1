#include <cstddef>
#include <cstdint>

#include "../../src/geometry/mesh_formats.h"
#include "omni/core/error.h"
#include "omni/core/log.h"

// The first byte picks the format, so that one corpus serves all of them.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  omni::set_log_level(omni::LogLevel::off);
  const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(data) + 1, size - 1);
  try {
    switch (data[0] % 4) {
      case 0:
        omni::geometry::read_gltf(bytes, "fuzz", {});
        break;
      case 1:
        omni::geometry::read_obj(bytes, "fuzz", {});
        break;
      case 2:
        omni::geometry::read_ply(bytes, "fuzz");
        break;
      default:
        omni::geometry::read_stl(bytes, "fuzz");
    }
  } catch (const omni::Error&) {
  }
  return 0;
}
