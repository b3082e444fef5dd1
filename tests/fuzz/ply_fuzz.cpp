#include "mesh_reader_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return omni::fuzz::run(data, size, std::size_t{1} << 20, [](auto bytes, auto& notes) {
    return omni::geometry::read_ply(bytes, "fuzz", {}, notes);
  });
}
