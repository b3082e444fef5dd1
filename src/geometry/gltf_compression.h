#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace omni::geometry {

// The compressed forms of glTF's data, decoded in a process of their own (core/isolation.h): their libraries
// are not made for bytes that nobody vouches for. Both throw Error(input) that names `name` and the
// compression. `document_bytes` bounds the time and memory they get, since parts may name the same bytes.

// A buffer view of EXT_meshopt_compression or KHR_meshopt_compression, which share one form.
struct MeshoptView {
  std::span<const std::byte> bytes;
  std::size_t count = 0, stride = 0;
  std::string mode, filter;  // as the extension writes them
  std::string extension;
};
// The plain bytes of each, count x stride.
std::vector<std::vector<std::byte>> decode_meshopt(std::span<const MeshoptView> views,
                                                   std::size_t document_bytes, const std::string& name);

inline constexpr const char* kDraco = "KHR_draco_mesh_compression";

// A primitive of that extension: which of the data's attributes stands for which of the
// primitive's.
struct DracoPrimitive {
  std::span<const std::byte> bytes;
  std::vector<std::pair<std::string, std::int64_t>> attributes;  // "POSITION", its unique id
};
struct DracoMesh {
  struct Attribute {
    std::string semantic;
    int components = 0;
    // Whether the data themselves say that their integers stand for 0 .. 1 or -1 .. 1; then they come so.
    bool normalised = false;
    std::vector<float> values;  // of vertices
  };
  std::vector<Attribute> attributes;
  std::vector<std::uint32_t> indices;  // three per triangle
};
std::vector<DracoMesh> decode_draco(std::span<const DracoPrimitive> primitives, std::size_t document_bytes,
                                    const std::string& name);

}  // namespace omni::geometry
