#include "gltf_compression.h"

#include <draco/compression/expert_encode.h>
#include <draco/mesh/triangle_soup_mesh_builder.h>
#include <gtest/gtest.h>
#include <meshoptimizer.h>

#include "gltf_builder.h"
#include "omni/core/json_text.h"

namespace omni::geometry {
namespace {

using testing::GltfBuilder;
using testing::input_error;
using testing::Json;
using testing::to_bytes;

const Mesh kBox = testing::six_colour_box();

std::vector<std::byte> compressed_box(std::uint32_t* position_id, std::uint32_t* colour_id, bool normalised) {
  draco::TriangleSoupMeshBuilder builder;
  builder.Start(int(kBox.triangles.size()));
  const int position = builder.AddAttribute(draco::GeometryAttribute::POSITION, 3, draco::DT_FLOAT32);
  const int colour = builder.AddAttribute(draco::GeometryAttribute::COLOR, 3, draco::DT_UINT8, normalised);
  for (std::size_t i = 0; i < kBox.triangles.size(); ++i) {
    const auto& t = kBox.triangles[i];
    std::uint8_t bytes[3][3];
    for (std::size_t k = 0; k < 3; ++k)
      for (std::size_t c = 0; c < 3; ++c) bytes[k][c] = std::uint8_t(255 * kBox.colours[t[k]][c]);
    const draco::FaceIndex face{std::uint32_t(i)};
    builder.SetAttributeValuesForFace(position, face, &kBox.positions[t[0]], &kBox.positions[t[1]],
                                      &kBox.positions[t[2]]);
    builder.SetAttributeValuesForFace(colour, face, bytes[0], bytes[1], bytes[2]);
  }
  const std::unique_ptr<draco::Mesh> mesh = builder.Finalize();
  *position_id = mesh->attribute(position)->unique_id();
  *colour_id = mesh->attribute(colour)->unique_id();
  draco::ExpertEncoder encoder(*mesh);
  encoder.SetAttributeQuantization(position, 14);
  draco::EncoderBuffer buffer;
  EXPECT_TRUE(encoder.EncodeToBuffer(&buffer).ok());
  return to_bytes({buffer.data(), buffer.size()});
}

// A document of the box, compressed; beside a plain one that stands two further along X.
GltfBuilder draco_document(bool beside_plain = false, bool normalised = true) {
  GltfBuilder b;
  std::uint32_t position_id = 0, colour_id = 0;
  const int data = b.view(compressed_box(&position_id, &colour_id, normalised));
  b.json["accessors"] = {{{"componentType", 5126}, {"count", 24}, {"type", "VEC3"}},
                         {{"componentType", 5123}, {"count", 36}, {"type", "SCALAR"}},
                         {{"componentType", 5121}, {"count", 24}, {"type", "VEC3"}, {"normalized", true}}};
  const Json extension = {{"bufferView", data},
                          {"attributes", {{"POSITION", position_id}, {"COLOR_0", colour_id}}}};
  b.node({{"mesh", b.mesh({{"attributes", {{"POSITION", 0}, {"COLOR_0", 2}}},
                           {"indices", 1},
                           {"extensions", {{"KHR_draco_mesh_compression", extension}}}})}});
  if (beside_plain) {
    std::vector<std::uint16_t> indices;
    for (const auto& t : kBox.triangles)
      for (const auto i : t) indices.push_back(std::uint16_t(i));
    const int positions = b.positions(kBox.positions);
    b.node({{"mesh", b.mesh({{"attributes", {{"POSITION", positions}}}, {"indices", b.indices(indices)}})},
            {"translation", {2, 0, 0}}});
  }
  return b;
}

TEST(GltfDraco, IsReadWhetherRequiredOrOnlyUsed) {
  for (const std::string list : {"extensionsRequired", "extensionsUsed"}) {
    // Some encoders leave it to the accessor to say that integers stand for 0 .. 1.
    GltfBuilder b = draco_document(false, list == "extensionsUsed");
    b.json[list] = {"KHR_draco_mesh_compression"};
    const Mesh mesh = b.read();
    EXPECT_EQ(mesh.triangles.size(), 12u);
    EXPECT_NEAR(mesh.signed_volume(), 1, 1e-3);
    for (std::size_t t = 0; t < 12; ++t) {
      const auto& corners = mesh.triangles[t];
      const Vec3 middle =
          (mesh.positions[corners[0]] + mesh.positions[corners[1]] + mesh.positions[corners[2]]) / 3.0f;
      if (middle.x > 0.49f) EXPECT_LT(length(mesh.colours[corners[0]] - Vec3{1, 0, 0}), 1e-3);
      if (middle.z < -0.49f) EXPECT_LT(length(mesh.colours[corners[0]] - Vec3{1, 1, 0}), 1e-3);
    }
  }
  GltfBuilder both = draco_document(true);
  EXPECT_EQ(both.read().triangles.size(), 24u);
  EXPECT_NEAR(both.read().bounds().extent().x, 3, 1e-3);
}

TEST(GltfDraco, ThatCannotBeReadIsRefusedByName) {
  for (const bool beside_plain : {false, true}) {
    GltfBuilder b = draco_document(beside_plain);
    b.json["bufferViews"][0]["byteLength"] = 40;
    EXPECT_NE(input_error([&] { b.read(); }).find("KHR_draco_mesh_compression"), std::string::npos);
  }
  GltfBuilder missing = draco_document();
  Json& extension = missing.json["meshes"][0]["primitives"][0]["extensions"]["KHR_draco_mesh_compression"];
  extension["attributes"].erase("COLOR_0");
  EXPECT_NE(input_error([&] { missing.read(); }).find("COLOR_0"), std::string::npos)
      << "never zeros in silence";
  extension["attributes"]["COLOR_0"] = 77;
  EXPECT_NE(input_error([&] { missing.read(); }).find("COLOR_0"), std::string::npos);
}

TEST(GltfDraco, GivesWayToTheSameDataUncompressed) {
  GltfBuilder b = draco_document();
  b.json["accessors"][0]["bufferView"] = b.view(kBox.positions);
  std::vector<std::uint16_t> indices;
  for (const auto& t : kBox.triangles)
    for (const auto i : t) indices.push_back(std::uint16_t(i));
  b.json["accessors"][1]["bufferView"] = b.view(indices);
  b.json["bufferViews"][0]["byteLength"] = 40;
  EXPECT_EQ(b.read().triangles.size(), 12u);
}

std::vector<std::byte> bytes_of(std::vector<unsigned char> encoded, std::size_t size) {
  return to_bytes({reinterpret_cast<const char*>(encoded.data()), size});
}

// The box with its positions, normals (through the octahedral filter) and indices compressed.
GltfBuilder meshopt_document(const std::string& extension) {
  GltfBuilder b;
  std::vector<unsigned char> buffer(meshopt_encodeVertexBufferBound(24, 12));
  std::size_t size = meshopt_encodeVertexBuffer(buffer.data(), buffer.size(), kBox.positions.data(), 24, 12);
  const int positions = b.view(bytes_of(buffer, size));
  std::vector<float> directions;
  for (const Vec3& p : kBox.positions) {
    const Vec3 n = normalised(p);
    directions.insert(directions.end(), {n.x, n.y, n.z, 0});
  }
  std::vector<std::int8_t> filtered(4 * 24);
  meshopt_encodeFilterOct(filtered.data(), 24, 4, 8, directions.data());
  buffer.resize(meshopt_encodeVertexBufferBound(24, 4));
  size = meshopt_encodeVertexBuffer(buffer.data(), buffer.size(), filtered.data(), 24, 4);
  const int normals = b.view(bytes_of(buffer, size));
  std::vector<unsigned int> indices;
  for (const auto& t : kBox.triangles) indices.insert(indices.end(), t.begin(), t.end());
  buffer.resize(meshopt_encodeIndexBufferBound(36, 24));
  size = meshopt_encodeIndexBuffer(buffer.data(), buffer.size(), indices.data(), 36);
  const int triangles = b.view(bytes_of(buffer, size));
  const auto compress = [&](int view, const char* mode, const char* filter, int count, int stride) {
    Json& json = b.json["bufferViews"][std::size_t(view)];
    json["extensions"][extension] = {{"buffer", 0},         {"byteOffset", json["byteOffset"]},
                                     {"mode", mode},        {"byteLength", json["byteLength"]},
                                     {"filter", filter},    {"count", count},
                                     {"byteStride", stride}};
    json["buffer"] = 1;  // the fallback, which holds nothing
    json["byteOffset"] = 0;
    json["byteLength"] = count * stride;
    if (std::string(mode) == "ATTRIBUTES") json["byteStride"] = stride;
  };
  compress(positions, "ATTRIBUTES", "NONE", 24, 12);
  compress(normals, "ATTRIBUTES", "OCTAHEDRAL", 24, 4);
  compress(triangles, "TRIANGLES", "NONE", 36, 2);
  b.json["accessors"] = {
      {{"bufferView", positions}, {"componentType", 5126}, {"count", 24}, {"type", "VEC3"}},
      {{"bufferView", normals},
       {"componentType", 5120},
       {"count", 24},
       {"type", "VEC3"},
       {"normalized", true}},
      {{"bufferView", triangles}, {"componentType", 5123}, {"count", 36}, {"type", "SCALAR"}}};
  b.mesh({{"attributes", {{"POSITION", 0}, {"NORMAL", 1}}}, {"indices", 2}});
  return b;
}

Mesh read_with_fallback_buffer(GltfBuilder& b, const std::string& extension) {
  b.embedded();
  b.json["buffers"].push_back({{"byteLength", 4096}, {"extensions", {{extension, {{"fallback", true}}}}}});
  return testing::read_gltf(to_bytes(json_text(b.json)), "case.gltf");
}

TEST(GltfMeshopt, IsReadUnderBothNames) {
  for (const std::string extension : {"EXT_meshopt_compression", "KHR_meshopt_compression"}) {
    GltfBuilder b = meshopt_document(extension);
    b.json["extensionsRequired"] = {extension};
    const Mesh mesh = read_with_fallback_buffer(b, extension);
    EXPECT_EQ(mesh.triangles.size(), 12u);
    EXPECT_NEAR(mesh.signed_volume(), 1, 1e-6);
    ASSERT_EQ(mesh.normals.size(), mesh.positions.size());
    for (std::size_t i = 0; i < mesh.positions.size(); ++i)
      EXPECT_LT(length(mesh.normals[i] - normalised(mesh.positions[i])), 0.03f);
  }
}

TEST(GltfMeshopt, ThatCannotBeReadIsRefusedByName) {
  const std::string extension = "EXT_meshopt_compression";
  const std::vector<std::pair<std::string, std::function<void(Json&)>>> cases = {
      {"broken", [](Json& j) { j["byteLength"] = 20; }},
      {"stride", [](Json& j) { j["byteStride"] = 7; }},
      {"mode", [](Json& j) { j["mode"] = "SOMETHING"; }},
      {"COLOR", [](Json& j) { j["filter"] = "COLOR"; }},
      {"stride", [](Json& j) { j["filter"] = "QUATERNION"; }},
      {"impossible", [](Json& j) { j["count"] = 4000000000; }},
      {"impossible", [](Json& j) { j["count"] = -1; }},
      {"leaves its buffer", [](Json& j) { j["byteLength"] = 100000; }},
  };
  for (const auto& [part, change] : cases) {
    GltfBuilder b = meshopt_document(extension);
    change(b.json["bufferViews"][0]["extensions"][extension]);
    const std::string message = input_error([&] { read_with_fallback_buffer(b, extension); });
    EXPECT_NE(message.find(extension), std::string::npos) << message;
    EXPECT_NE(message.find(part), std::string::npos) << message;
  }
}

TEST(GltfMeshopt, ItsStrideCountsWhereTheViewHasNone) {
  const std::string extension = "EXT_meshopt_compression";
  GltfBuilder b = meshopt_document(extension);
  b.json["accessors"][1]["type"] = "VEC3";  // of four bytes each, as normals are
  b.json["bufferViews"][1].erase("byteStride");
  const Mesh mesh = read_with_fallback_buffer(b, extension);
  ASSERT_EQ(mesh.normals.size(), mesh.positions.size());
  for (std::size_t i = 0; i < mesh.positions.size(); ++i)
    EXPECT_LT(length(mesh.normals[i] - normalised(mesh.positions[i])), 0.03f);
}

TEST(GltfMeshopt, ViewsOfTheSameBytesShareThem) {
  const std::string extension = "EXT_meshopt_compression";
  GltfBuilder b = meshopt_document(extension);
  // Two thousand times these would be too much for its size.
  constexpr std::size_t kVertices = 4096;
  const std::vector<Vec3> zeros(kVertices);
  std::vector<unsigned char> buffer(meshopt_encodeVertexBufferBound(kVertices, 12));
  const std::size_t size =
      meshopt_encodeVertexBuffer(buffer.data(), buffer.size(), zeros.data(), kVertices, 12);
  const int bytes = b.view(bytes_of(buffer, size));
  Json view = b.json["bufferViews"][0];
  Json& json = view["extensions"][extension];
  json["byteOffset"] = b.json["bufferViews"][std::size_t(bytes)]["byteOffset"];
  json["byteLength"] = size;
  json["count"] = kVertices;
  for (int i = 0; i < 2000; ++i) b.json["bufferViews"].push_back(view);
  EXPECT_NEAR(read_with_fallback_buffer(b, extension).signed_volume(), 1, 1e-6);
}

TEST(GltfMeshopt, OverlappingViewsAreBoundedTogether) {
  const std::string extension = "EXT_meshopt_compression";
  GltfBuilder b = meshopt_document(extension);
  const int bytes = b.view(std::vector<std::byte>(4096));
  for (int i = 0; i < 100; ++i) {
    Json view = b.json["bufferViews"][0];
    Json& json = view["extensions"][extension];
    json["byteOffset"] = b.json["bufferViews"][std::size_t(bytes)]["byteOffset"];
    json["byteLength"] = 4096;
    json["count"] = 20000 + i;
    b.json["bufferViews"].push_back(view);
  }
  const std::string message = input_error([&] { read_with_fallback_buffer(b, extension); });
  EXPECT_NE(message.find("those before it"), std::string::npos) << message;
}

}  // namespace
}  // namespace omni::geometry
