#include "gltf_compression.h"

#include <draco/compression/decode.h>
#include <meshoptimizer.h>

#include <algorithm>
#include <optional>

#include "answer_bytes.h"
#include "omni/core/error.h"
#include "omni/core/isolation.h"
#include "omni/core/utf8.h"
#include "reading_limits.h"

namespace omni::geometry {
namespace {

constexpr std::size_t kMemoryPerByte = 256;

[[noreturn]] void refuse(const std::string& name, const std::string& extension, const std::string& reason) {
  fail(ErrorKind::input, "cannot read mesh ", name, ": it is compressed with ", extension, ", and ", reason,
       "; export it uncompressed.");
}

// What meshoptimizer takes for granted, and asserts at best.
void check(const MeshoptView& view, const std::string& name) {
  const std::size_t stride = view.stride;
  const auto require = [&](bool holds, const char* reason) {
    if (!holds) refuse(name, view.extension, reason);
  };
  if (view.mode == "ATTRIBUTES") {
    require(stride % 4 == 0 && stride <= 256, "its vertices have an impossible stride");
    const bool newer = !view.bytes.empty() && view.bytes[0] == std::byte{0xa1};
    require(!newer, "in a later version of its codec (1), which is not read");
  } else {
    require(view.mode == "TRIANGLES" || view.mode == "INDICES", "in an unknown mode");
    require(stride == 2 || stride == 4, "its indices have an impossible stride");
    require(view.mode == "INDICES" || view.count % 3 == 0, "its triangles are no threes of indices");
  }
  if (view.filter.empty() || view.filter == "NONE") return;
  require(view.mode == "ATTRIBUTES", "its indices have a filter");
  if (view.filter == "OCTAHEDRAL")
    require(stride == 4 || stride == 8, "its octahedral vectors have an impossible stride");
  else if (view.filter == "QUATERNION")
    require(stride == 8, "its quaternions have an impossible stride");
  else
    require(view.filter == "EXPONENTIAL",
            concat("its filter \"", printable(view.filter), "\" is not read").c_str());
}

std::vector<std::byte> decode_view(const MeshoptView& view, const std::string& name) {
  std::vector<std::byte> plain(view.count * view.stride);
  const auto* source = reinterpret_cast<const unsigned char*>(view.bytes.data());
  const std::size_t size = view.bytes.size();
  int problem = 0;
  if (view.mode == "ATTRIBUTES")
    problem = meshopt_decodeVertexBuffer(plain.data(), view.count, view.stride, source, size);
  else if (view.mode == "TRIANGLES")
    problem = meshopt_decodeIndexBuffer(plain.data(), view.count, view.stride, source, size);
  else
    problem = meshopt_decodeIndexSequence(plain.data(), view.count, view.stride, source, size);
  if (problem != 0) refuse(name, view.extension, "its data is broken or in a later version of its codec");
  if (view.filter == "OCTAHEDRAL") meshopt_decodeFilterOct(plain.data(), view.count, view.stride);
  if (view.filter == "QUATERNION") meshopt_decodeFilterQuat(plain.data(), view.count, view.stride);
  if (view.filter == "EXPONENTIAL") meshopt_decodeFilterExp(plain.data(), view.count, view.stride);
  return plain;
}

DracoMesh::Attribute values_of(const draco::Mesh& mesh, const std::string& semantic, std::int64_t id,
                               const std::string& name) {
  const draco::PointAttribute* source =
      id >= 0 && id <= UINT32_MAX ? mesh.GetAttributeByUniqueId(std::uint32_t(id)) : nullptr;
  if (!source) refuse(name, kDraco, concat("its data has no attribute for ", printable(semantic)));
  DracoMesh::Attribute attribute{semantic, source->num_components(), source->normalized(), {}};
  const auto components = std::size_t(attribute.components);
  attribute.values.resize(mesh.num_points() * components);
  for (draco::PointIndex point(0); point < mesh.num_points(); ++point)
    if (!source->ConvertValue<float>(source->mapped_index(point),
                                     &attribute.values[point.value() * components]))
      refuse(name, kDraco, "its data is broken");
  return attribute;
}

DracoMesh decode_primitive(const DracoPrimitive& primitive, const std::string& name) {
  draco::DecoderBuffer buffer;
  buffer.Init(reinterpret_cast<const char*>(primitive.bytes.data()), primitive.bytes.size());
  draco::Decoder decoder;
  auto decoded = decoder.DecodeMeshFromBuffer(&buffer);
  if (!decoded.ok())
    refuse(name, kDraco, concat("its data cannot be read (", decoded.status().error_msg_string(), ")"));
  const draco::Mesh& mesh = *decoded.value();
  DracoMesh result;
  for (const auto& [semantic, id] : primitive.attributes)
    result.attributes.push_back(values_of(mesh, semantic, id, name));
  result.indices.reserve(std::size_t(mesh.num_faces()) * 3);
  for (draco::FaceIndex face(0); face < mesh.num_faces(); ++face)
    for (int corner = 0; corner < 3; ++corner) result.indices.push_back(mesh.face(face)[corner].value());
  return result;
}

template <class Items>
std::size_t total_bytes(const Items& items) {
  std::size_t total = 0;
  for (const auto& item : items) total += item.bytes.size();
  return total;
}

}  // namespace

std::vector<std::vector<std::byte>> decode_meshopt(std::span<const MeshoptView> views,
                                                   std::size_t document_bytes, const std::string& name) {
  for (const MeshoptView& view : views) check(view, name);
  const auto work = [&] {
    std::vector<std::byte> answer;
    for (const MeshoptView& view : views) put_list<std::byte>(answer, decode_view(view, name));
    return answer;
  };
  const auto answer =
      run_isolated(work,
                   concat("cannot read mesh ", name, ", which is compressed with ",
                          views.empty() ? "" : views.front().extension),
                   reading_limits(std::min(total_bytes(views), document_bytes), kMemoryPerByte));
  std::span<const std::byte> rest(answer);
  std::vector<std::vector<std::byte>> plain;
  for (std::size_t i = 0; i < views.size(); ++i) plain.push_back(take_list<std::vector<std::byte>>(rest));
  return plain;
}

std::vector<DracoMesh> decode_draco(std::span<const DracoPrimitive> primitives, std::size_t document_bytes,
                                    const std::string& name) {
  const auto work = [&] {
    std::vector<std::byte> answer;
    for (const DracoPrimitive& primitive : primitives) {
      const DracoMesh mesh = decode_primitive(primitive, name);
      put_list<std::uint32_t>(answer, mesh.indices);
      for (const DracoMesh::Attribute& attribute : mesh.attributes) {
        append_bytes(answer, std::uint16_t(attribute.components));
        append_bytes(answer, std::uint16_t(attribute.normalised));
        put_list<float>(answer, attribute.values);
      }
    }
    return answer;
  };
  const auto answer =
      run_isolated(work, concat("cannot read mesh ", name, ", which is compressed with ", kDraco),
                   reading_limits(std::min(total_bytes(primitives), document_bytes), kMemoryPerByte));
  std::span<const std::byte> rest(answer);
  std::vector<DracoMesh> meshes;
  for (const DracoPrimitive& primitive : primitives) {
    DracoMesh& mesh = meshes.emplace_back();
    mesh.indices = take_list<std::vector<std::uint32_t>>(rest);
    for (const auto& [semantic, id] : primitive.attributes) {
      DracoMesh::Attribute& attribute = mesh.attributes.emplace_back();
      attribute.semantic = semantic;
      constexpr std::size_t kHeaderBytes = 2 * sizeof(std::uint16_t);
      ensure(rest.size() >= kHeaderBytes, "a short answer of the mesh reader");
      attribute.components = std::to_integer<int>(rest[0]);
      attribute.normalised = rest[sizeof(std::uint16_t)] != std::byte{0};
      rest = rest.subspan(kHeaderBytes);
      attribute.values = take_list<std::vector<float>>(rest);
    }
  }
  return meshes;
}

}  // namespace omni::geometry
