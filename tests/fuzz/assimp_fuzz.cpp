// The first byte picks the format. assimp itself runs in a process of its own, so its crashes are errors
// here: what this checks is that they stay there, and what comes back.
#include <array>

#include "mesh_reader_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static constexpr std::array kExtensions = {".dae", ".fbx", ".3ds", ".off", ".x",   ".x3d",
                                             ".ase", ".dxf", ".ac",  ".lwo", ".3mf", ".amf"};
  if (size == 0) return 0;
  const char* extension = kExtensions[data[0] % kExtensions.size()];
  return omni::fuzz::run(data + 1, size - 1, std::size_t{16} << 20, [&](auto bytes, auto& notes) {
    return omni::geometry::read_with_assimp(bytes, "fuzz", extension, {}, notes);
  });
}
