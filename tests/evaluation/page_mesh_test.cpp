#include "page_mesh.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "html.h"
#include "omni/geometry/mesh_files.h"
#include "omni/geometry/mesh_health.h"
#include "page_fixtures.h"
#include "temporary_directory.h"

namespace omni::evaluation {
namespace {

template <class Value>
Value value_at(const std::string& bytes, std::size_t offset) {
  Value value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

// By the header's description.
geometry::Mesh unpacked(const std::string& bytes) {
  const auto vertices = value_at<std::uint32_t>(bytes, 0), triangles = value_at<std::uint32_t>(bytes, 4),
             coloured = value_at<std::uint32_t>(bytes, 8);
  EXPECT_EQ(bytes.size(), 36 + 6 * vertices + 6 * triangles + (coloured != 0 ? 3 * vertices : 0));
  geometry::Mesh mesh;
  std::size_t at = 36;
  for (std::uint32_t i = 0; i < vertices; ++i) {
    geometry::Vec3 position;
    for (std::size_t axis = 0; axis < 3; ++axis, at += 2)
      position[axis] = value_at<float>(bytes, 12 + 4 * axis) +
                       value_at<float>(bytes, 24 + 4 * axis) * value_at<std::uint16_t>(bytes, at);
    mesh.positions.push_back(position);
  }
  for (std::uint32_t i = 0; i < triangles; ++i, at += 6)
    mesh.triangles.push_back({value_at<std::uint16_t>(bytes, at), value_at<std::uint16_t>(bytes, at + 2),
                              value_at<std::uint16_t>(bytes, at + 4)});
  for (std::uint32_t i = 0; coloured != 0 && i < vertices; ++i) {
    geometry::Vec3 colour;
    for (std::size_t channel = 0; channel < 3; ++channel, ++at)
      colour[channel] = static_cast<float>(value_at<std::uint8_t>(bytes, at)) / 255;
    mesh.colours.push_back(colour);
  }
  return mesh;
}

TEST(PageMesh, ComesBackWithinItsQuantum) {
  const geometry::Mesh mesh = testing::ball(24, {0.8f, 0.1f, 0.4f});
  const geometry::Mesh back = unpacked(packed_mesh(mesh, mesh.triangles.size()));
  ASSERT_EQ(back.positions.size(), mesh.positions.size());
  EXPECT_EQ(back.triangles, mesh.triangles);
  const geometry::Vec3 extent = mesh.bounds().extent();
  for (std::size_t i = 0; i < mesh.positions.size(); ++i) {
    for (std::size_t axis = 0; axis < 3; ++axis) {
      EXPECT_NEAR(back.positions[i][axis], mesh.positions[i][axis], 0.51 * extent[axis] / 65535 + 1e-6);
      EXPECT_NEAR(back.colours[i][axis], mesh.colours[i][axis], 0.51 / 255);
    }
  }
}

TEST(PageMesh, IsSimplifiedToFewTriangles) {
  const geometry::Mesh mesh = testing::ball(48, {1, 1, 1});
  ASSERT_GT(mesh.triangles.size(), 1000u);
  const geometry::Mesh back = unpacked(packed_mesh(mesh, 500));
  EXPECT_LE(back.triangles.size(), 500u);
  EXPECT_TRUE(geometry::inspect(back).closed());
  EXPECT_NEAR(back.signed_volume(), mesh.signed_volume(), 0.03 * mesh.signed_volume());
}

TEST(PageMesh, HasNothingOfWhatCannotBeShown) {
  EXPECT_EQ(packed_mesh({}, 100), "");
  geometry::Mesh flat = testing::ball(8, {1, 1, 1});
  for (geometry::Vec3& position : flat.positions) position.y = 2;
  for (const geometry::Vec3& position : unpacked(packed_mesh(flat, 1000)).positions)
    EXPECT_EQ(position.y, 2) << "without extent along an axis there is nothing to divide by";
}

TEST(PageMesh, ThePageHoldsAsManyAsFit) {
  const test::TemporaryDirectory folder;
  std::vector<std::string> files;
  for (const int detail : {8, 40, 8}) {
    files.push_back("mesh" + std::to_string(files.size()) + ".glb");
    geometry::write_mesh(folder / files.back(), testing::ball(detail, {1, 0, 0}));
  }
  files.emplace_back("missing.glb");
  const PageMeshes all(folder.path(), files);
  EXPECT_EQ(all.size(), 3u);
  EXPECT_EQ(all.left_out(), 0u);
  const geometry::Mesh first = geometry::read_mesh(folder / files[0]);
  ASSERT_NE(all.find(files[0]), nullptr);
  EXPECT_EQ(*all.find(files[0]), base64(packed_mesh(first, first.triangles.size())));

  const PageMeshes some(folder.path(), files, 2 * all.find(files[0])->size());
  EXPECT_EQ(some.left_out(), 1u);
  EXPECT_NE(some.find(files[0]), nullptr);
  EXPECT_EQ(some.find(files[1]), nullptr) << "the large one";
  EXPECT_NE(some.find(files[2]), nullptr);
}

}  // namespace
}  // namespace omni::evaluation
