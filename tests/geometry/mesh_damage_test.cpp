// Replays of truncated and damaged files: each ends in a sound mesh or in Error(input), never in a crash.
#include <gtest/gtest.h>

#include "gltf_builder.h"
#include "omni/geometry/mesh_files.h"
#include "omni/image/image.h"
#include "readers.h"

namespace omni::geometry {
namespace {

using Bytes = std::vector<std::byte>;
using Reader = std::function<Mesh(std::span<const std::byte>)>;

void expect_orderly(const Bytes& bytes, const Reader& read) {
  try {
    const Mesh mesh = read(bytes);
    ASSERT_FALSE(mesh.triangles.empty());
    for (const auto& t : mesh.triangles)
      for (const std::uint32_t i : t) ASSERT_LT(i, mesh.positions.size());
    for (const Vec3& p : mesh.positions) ASSERT_TRUE(std::isfinite(p.x + p.y + p.z) || std::abs(p.x) > 1e37f);
    if (!mesh.colours.empty()) ASSERT_EQ(mesh.colours.size(), mesh.positions.size());
    if (!mesh.normals.empty()) ASSERT_EQ(mesh.normals.size(), mesh.positions.size());
  } catch (const Error& error) {
    ASSERT_EQ(error.kind(), ErrorKind::input) << error.what();
  }
}

void replay(const Bytes& valid, const Reader& read) {
  ASSERT_FALSE(read(valid).triangles.empty());
  for (std::size_t size = 0; size < valid.size(); size += 1 + valid.size() / 150)
    expect_orderly(Bytes(valid.begin(), valid.begin() + std::ptrdiff_t(size)), read);
  CounterRng rng(17);
  for (int i = 0; i < 1500; ++i) {
    Bytes damaged = valid;
    for (std::uint64_t flips = 1 + rng.below(4); flips > 0; --flips) {
      // Half of the flips hit the beginning, where the counts are.
      const std::size_t range = rng.chance(0.5) ? std::min<std::size_t>(1024, valid.size()) : valid.size();
      std::byte& target = damaged[rng.below(range)];
      // Texts stay closer to well-formed when digits become digits.
      const bool digit = target >= std::byte('0') && target <= std::byte('9');
      target =
          digit && rng.chance(0.8) ? std::byte('0' + rng.below(10)) : target ^ std::byte(1 + rng.below(255));
    }
    expect_orderly(damaged, read);
  }
}

Mesh small_mesh() {
  Mesh mesh = testing::sphere_mesh(1, 2);
  for (const Vec3& p : mesh.positions) {
    mesh.normals.push_back(normalised(p));
    mesh.colours.push_back(abs(p));
  }
  return mesh;
}

TEST(MeshDamage, NeverCrashesGlb) {
  replay(encode_glb(small_mesh()), [](auto bytes) { return decode_glb(bytes, "damaged.glb"); });
}

TEST(MeshDamage, NeverCrashesGltfWithTexturesAndSparseAccessors) {
  testing::GltfBuilder b;
  const int p = b.positions(testing::kTriangle);
  const int t = b.accessor(std::vector<float>{0, 0, 1, 0, 0, 1}, 5126, "VEC2", 3);
  b.json["accessors"][0]["sparse"] = {
      {"count", 1},
      {"indices", {{"bufferView", b.view<std::uint16_t>({2})}, {"componentType", 5123}}},
      {"values", {{"bufferView", b.view<Vec3>({{0, 7, 0}})}}}};
  image::Image picture(4, 4, 3, 0);
  for (std::size_t i = 0; i < picture.pixels.size(); i += 5) picture.pixels[i] = 200;
  b.json["images"] = {{{"mimeType", "image/png"}, {"bufferView", b.view(image::encode_png(picture))}}};
  b.json["textures"] = {{{"source", 0}}};
  b.json["materials"] = {{{"pbrMetallicRoughness", {{"baseColorTexture", {{"index", 0}}}}}}};
  const int m = b.mesh({{"attributes", {{"POSITION", p}, {"TEXCOORD_0", t}}},
                        {"indices", b.indices({0, 1, 2})},
                        {"material", 0}});
  b.node({{"mesh", m}, {"rotation", {0, 0, 0, 1}}, {"children", {1}}});
  b.node({{"mesh", m}, {"scale", {2, 2, 2}}});
  b.json["scenes"] = {{{"nodes", {0}}}};
  replay(b.embedded(), [](auto bytes) { return testing::read_gltf(bytes, "damaged.gltf", {}); });
}

TEST(MeshDamage, NeverCrashesObj) {
  replay(testing::to_bytes(encode_obj(small_mesh())),
         [](auto bytes) { return testing::read_obj(bytes, "damaged.obj", {}); });
}

TEST(MeshDamage, NeverCrashesPly) {
  replay(encode_ply(small_mesh()), [](auto bytes) { return testing::read_ply(bytes, "damaged.ply"); });
}

TEST(MeshDamage, NeverCrashesAsciiPly) {
  replay(testing::to_bytes("ply\nformat ascii 1.0\nelement vertex 4\nproperty float x\nproperty float y\n"
                           "property float z\nproperty uchar red\nproperty list uchar float extra\n"
                           "element face 1\nproperty list uchar int vertex_indices\nend_header\n"
                           "0 0 0 255 1 7\n1 0 0 0 0\n1 1 0 0 2 3 4\n0 1 0 51 0\n4 0 1 2 3\n"),
         [](auto bytes) { return testing::read_ply(bytes, "damaged.ply"); });
}

TEST(MeshDamage, NeverCrashesStl) {
  replay(encode_stl(small_mesh()), [](auto bytes) { return testing::read_stl(bytes, "damaged.stl"); });
}

}  // namespace
}  // namespace omni::geometry
