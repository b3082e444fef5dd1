// A mesh of five million faces goes through everything, in bounded memory.
#include <gtest/gtest.h>

#include "allocation_peak.h"
#include "analytic_shapes.h"
#include "omni/core/files.h"
#include "omni/geometry/mesh_field.h"
#include "omni/geometry/mesh_files.h"
#include "omni/geometry/mesh_health.h"
#include "omni/geometry/simplification.h"
#include "omni/geometry/surface_points.h"
#include "temporary_directory.h"

namespace omni::geometry {
namespace {

class LargeMeshSlow : public ::testing::Test {
 protected:
  static constexpr std::size_t kFaces = 5'000'000;
  static Mesh make() { return testing::torus_mesh(0.65, 0.25, 2500, 1000); }
  const test::TemporaryDirectory folder_;
};

// Ten times the file is what readers may hold, the file included.
TEST_F(LargeMeshSlow, EveryReaderStaysBelowTenTimesTheFile) {
  const Mesh mesh = make();
  ASSERT_EQ(mesh.triangles.size(), kFaces);
  for (const char* name : {"mesh.glb", "mesh.ply", "mesh.stl", "mesh.obj"}) {
    const auto path = folder_ / name;
    write_mesh(path, mesh);
    const auto size = std::filesystem::file_size(path);
    const test::AllocationPeak peak;
    const Mesh back = read_mesh(path);
    EXPECT_EQ(back.triangles.size(), kFaces) << name;
    EXPECT_EQ(back.positions.size(), mesh.positions.size()) << name;
    EXPECT_LT(peak.bytes(), 10 * size) << name;
    std::filesystem::remove(path);
  }
}

TEST_F(LargeMeshSlow, IsInspectedSampledLabelledAndSimplified) {
  const Mesh mesh = make();
  const MeshHealth health = inspect(mesh);
  EXPECT_TRUE(health.healthy());
  EXPECT_NEAR(health.volume, mesh.signed_volume(), 1e-6);
  CounterRng rng(1);
  for (const Vec3& p : sample_surface(mesh, 1000, rng).positions)
    EXPECT_NEAR(testing::torus_distance(p, 0.65, 0.25), 0, 1e-4);
  {
    const test::AllocationPeak peak;
    const MeshField field(mesh);
    std::vector<Vec3> points;
    for (int i = 0; i < 2000; ++i)
      points.push_back({float(rng.uniform(-1, 1)), float(rng.uniform(-0.3, 0.3)), float(rng.uniform(-1, 1))});
    std::vector<std::uint8_t> inside(points.size());
    field.occupancy(points, inside);
    for (std::size_t i = 0; i < points.size(); ++i) {
      const double distance = testing::torus_distance(points[i], 0.65, 0.25);
      if (std::abs(distance) > 1e-3) EXPECT_EQ(inside[i] != 0, distance < 0);
    }
    EXPECT_LT(peak.bytes(), std::size_t{3} << 30);
  }
  const Mesh simple = simplify(mesh, 20000);
  EXPECT_LE(simple.triangles.size(), 20000u);
  EXPECT_TRUE(inspect(simple).healthy());
  EXPECT_NEAR(simple.signed_volume(), health.volume, 0.01 * health.volume);
}

}  // namespace
}  // namespace omni::geometry
