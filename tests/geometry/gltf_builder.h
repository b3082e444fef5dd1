#pragma once

#include "coloured_shapes.h"
#include "mesh_formats.h"
#include "omni/core/json_text.h"
#include "readers.h"

namespace omni::geometry::testing {

// Builds small glTF documents by hand, feature by feature.

using Json = nlohmann::json;

inline std::string base64(const std::vector<std::byte>& bytes) {
  constexpr char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 3; ++k)
      group = (group << 8) | (i + k < bytes.size() ? std::uint32_t(bytes[i + k]) : 0u);
    for (std::size_t k = 0; k < 4; ++k)
      text.push_back(i + k <= bytes.size() ? alphabet[(group >> (18 - 6 * k)) & 63] : '=');
  }
  return text;
}

class GltfBuilder {
 public:
  GltfBuilder() { json["asset"]["version"] = "2.0"; }

  template <class T>
  int view(const std::vector<T>& values) {
    data_.resize((data_.size() + 3) / 4 * 4);
    const std::size_t offset = data_.size();
    for (const T& value : values) append_bytes(data_, value);
    json["bufferViews"].push_back(
        {{"buffer", 0}, {"byteOffset", offset}, {"byteLength", data_.size() - offset}});
    return int(json["bufferViews"].size()) - 1;
  }
  template <class T>
  int accessor(const std::vector<T>& values, int component_type, const char* type, std::size_t count,
               bool normalised = false) {
    json["accessors"].push_back({{"bufferView", view(values)},
                                 {"componentType", component_type},
                                 {"count", count},
                                 {"type", type},
                                 {"normalized", normalised}});
    return int(json["accessors"].size()) - 1;
  }
  int positions(const std::vector<Vec3>& values) { return accessor(values, 5126, "VEC3", values.size()); }
  int indices(const std::vector<std::uint16_t>& values) {
    return accessor(values, 5123, "SCALAR", values.size());
  }
  int mesh(const Json& primitive) {
    json["meshes"].push_back({{"primitives", Json::array({primitive})}});
    return int(json["meshes"].size()) - 1;
  }
  int node(Json value) {
    json["nodes"].push_back(std::move(value));
    return int(json["nodes"].size()) - 1;
  }
  const std::vector<std::byte>& data() const { return data_; }

  // The document with its buffer inside.
  std::vector<std::byte> embedded() {
    if (!data_.empty())
      json["buffers"] = {
          {{"byteLength", data_.size()}, {"uri", "data:application/octet-stream;base64," + base64(data_)}}};
    return to_bytes(json_text(json));
  }
  Mesh read(const std::filesystem::path& folder = {}) {
    return testing::read_gltf(embedded(), "case.gltf", folder);
  }
  // What it is read without.
  std::vector<std::string> warnings(const std::filesystem::path& folder = {}) {
    ReadNotes notes;
    geometry::read_gltf(embedded(), "case.gltf", folder, notes);
    return notes.lines();
  }

  Json json;

 private:
  std::vector<std::byte> data_;
};

// One right triangle of area 0.5 in the plane z = 0.
inline const std::vector<Vec3> kTriangle = {{0, 0, 0}, {1, 0, 0}, {0, 1, 0}};

}  // namespace omni::geometry::testing
