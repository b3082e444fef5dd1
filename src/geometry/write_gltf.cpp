#include <algorithm>

#include "mesh_formats.h"
#include "omni/core/error.h"
#include "omni/core/json_text.h"
#include "omni/core/log.h"
#include "omni/geometry/mesh_files.h"
#include "omni/geometry/mesh_frame.h"
#include "omni/image/image.h"

namespace omni::geometry {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kFloat = 5126, kUnsignedShort = 5123, kUnsignedInt = 5125;
constexpr int kArrayBuffer = 34962, kElementArrayBuffer = 34963;

// Collects buffer views and accessors as the binary chunk grows.
class GltfBuffer {
 public:
  int add_vectors(const std::vector<Vec3>& values, bool with_bounds) {
    const std::size_t offset = start_view();
    for (const Vec3& v : values) append_bytes(bytes_, v);
    Json accessor = finish_view(offset, kArrayBuffer, kFloat, values.size(), "VEC3");
    if (with_bounds) {
      Bounds bounds;
      for (const Vec3& v : values) bounds.include(v);
      accessor["min"] = {bounds.low.x, bounds.low.y, bounds.low.z};
      accessor["max"] = {bounds.high.x, bounds.high.y, bounds.high.z};
    }
    return keep(std::move(accessor));
  }

  int add_triangles(const Mesh& mesh) {
    // The largest index of a type means "restart" in some APIs and is not allowed.
    const bool narrow = mesh.positions.size() <= 65535;
    const std::size_t offset = start_view();
    for (const auto& triangle : mesh.triangles)
      for (const std::uint32_t index : triangle)
        narrow ? append_bytes(bytes_, std::uint16_t(index)) : append_bytes(bytes_, index);
    return keep(finish_view(offset, kElementArrayBuffer, narrow ? kUnsignedShort : kUnsignedInt,
                            mesh.triangles.size() * 3, "SCALAR"));
  }

  void finish(Json& document) {
    pad();
    document["accessors"] = accessors_;
    document["bufferViews"] = views_;
    document["buffers"] = Json::array({{{"byteLength", bytes_.size()}}});
  }
  const std::vector<std::byte>& bytes() const { return bytes_; }

 private:
  void pad() { bytes_.resize((bytes_.size() + 3) / 4 * 4); }
  std::size_t start_view() {
    pad();
    return bytes_.size();
  }
  Json finish_view(std::size_t offset, int target, int component, std::size_t count, const char* type) {
    views_.push_back(
        {{"buffer", 0}, {"byteOffset", offset}, {"byteLength", bytes_.size() - offset}, {"target", target}});
    return {
        {"bufferView", views_.size() - 1}, {"componentType", component}, {"count", count}, {"type", type}};
  }
  int keep(Json accessor) {
    accessors_.push_back(std::move(accessor));
    return int(accessors_.size()) - 1;
  }

  std::vector<std::byte> bytes_;
  Json views_ = Json::array(), accessors_ = Json::array();
};

std::vector<Vec3> linear_colours(const Mesh& mesh) {
  std::vector<Vec3> linear;
  linear.reserve(mesh.colours.size());
  for (const Vec3& c : mesh.colours) {
    const auto convert = [](float srgb) { return image::srgb_to_linear(std::clamp(srgb, 0.0f, 1.0f)); };
    linear.push_back({convert(c.x), convert(c.y), convert(c.z)});
  }
  return linear;
}

std::vector<Vec3> unit_normals(const Mesh& mesh) {
  std::vector<Vec3> normals = mesh.normals;
  for (Vec3& n : normals) {
    n = normalised(n);
    if (!(dot(n, n) > 0.5f)) n = {0, 1, 0};  // the format allows unit vectors only
  }
  return normals;
}

void append_chunk_header(std::vector<std::byte>& glb, std::size_t length, std::uint32_t type) {
  append_bytes(glb, std::uint32_t(length));
  append_bytes(glb, type);
}

std::vector<std::byte> encode(const Mesh& mesh, const std::optional<Normalisation>& frame) {
  check_written_mesh(mesh);
  GltfBuffer buffer;
  Json attributes;
  attributes["POSITION"] = buffer.add_vectors(mesh.positions, true);
  if (!mesh.normals.empty()) attributes["NORMAL"] = buffer.add_vectors(unit_normals(mesh), false);
  if (!mesh.colours.empty()) attributes["COLOR_0"] = buffer.add_vectors(linear_colours(mesh), false);
  const int indices = buffer.add_triangles(mesh);

  Json document;
  document["asset"] = {{"version", "2.0"}, {"generator", "omni123"}};
  // Programs that change a mesh write an asset of their own.
  if (frame)
    document["asset"]["extras"][kFrameKey] = {frame->centre.x, frame->centre.y, frame->centre.z,
                                              frame->scale};
  document["scene"] = 0;
  document["scenes"] = Json::array({{{"nodes", {0}}}});
  document["nodes"] = Json::array({{{"mesh", 0}}});
  document["meshes"] = Json::array(
      {{{"primitives", Json::array({{{"attributes", attributes}, {"indices", indices}, {"material", 0}}})}}});
  document["materials"] =
      Json::array({{{"pbrMetallicRoughness", {{"metallicFactor", 0.0}, {"roughnessFactor", 0.8}}}}});
  buffer.finish(document);
  std::string json = json_text(document);
  json.resize((json.size() + 3) / 4 * 4, ' ');

  const std::uint64_t total = 12 + 8 + json.size() + 8 + buffer.bytes().size();
  if (total > UINT32_MAX)
    fail(ErrorKind::input, "cannot write GLB: the mesh needs ", total,
         " bytes, and the format ends at 4 GiB.");
  std::vector<std::byte> glb;
  glb.reserve(total);
  append_bytes(glb, std::uint32_t(0x46546C67));  // "glTF"
  append_bytes(glb, std::uint32_t(2));
  append_bytes(glb, std::uint32_t(total));
  append_chunk_header(glb, json.size(), 0x4E4F534A);  // "JSON"
  for (const char c : json) glb.push_back(std::byte(c));
  append_chunk_header(glb, buffer.bytes().size(), 0x004E4942);  // "BIN"
  glb.insert(glb.end(), buffer.bytes().begin(), buffer.bytes().end());
  return glb;
}

}  // namespace

std::vector<std::byte> encode_glb(const Mesh& mesh) { return encode(mesh, {}); }
std::vector<std::byte> encode_glb(const Mesh& mesh, const Normalisation& frame) {
  return encode(mesh, frame);
}

Mesh decode_glb(std::span<const std::byte> bytes, const std::string& name) {
  ReadNotes notes;
  Mesh mesh = read_gltf(bytes, name, {}, notes);
  for (const std::string& line : notes.lines()) log_warning("mesh ", name, " ", line);
  return mesh;
}

}  // namespace omni::geometry
