#include "mesh_reader_fuzz.h"
#include "omni/geometry/mesh_frame.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // Textures of many pixels and meshes that nodes repeat are short.
  return omni::fuzz::run(data, size, std::size_t{64} << 20, [](auto bytes, auto& notes) {
    (void)omni::geometry::frame_of_glb(bytes);
    return omni::geometry::read_gltf(bytes, "fuzz", {}, notes);
  });
}
