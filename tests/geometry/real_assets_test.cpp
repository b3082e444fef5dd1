#include <assimp/postprocess.h>
#include <assimp/scene.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <assimp/Importer.hpp>
#include <filesystem>

#include "omni/core/error.h"
#include "omni/geometry/mesh_files.h"
#include "temporary_directory.h"

namespace omni::geometry {
namespace {

namespace fs = std::filesystem;

// The same file as assimp reads it: an implementation that shares nothing with ours.
Mesh read_independently(const fs::path& path) {
  Assimp::Importer importer;
  const aiScene* scene = importer.ReadFile(
      path.string(), aiProcess_Triangulate | aiProcess_PreTransformVertices | aiProcess_SortByPType);
  Mesh mesh;
  if (!scene) return mesh;
  for (unsigned m = 0; m < scene->mNumMeshes; ++m) {
    const aiMesh& part = *scene->mMeshes[m];
    const auto base = std::uint32_t(mesh.positions.size());
    for (unsigned i = 0; i < part.mNumVertices; ++i)
      mesh.positions.push_back({part.mVertices[i].x, part.mVertices[i].y, part.mVertices[i].z});
    for (unsigned i = 0; i < part.mNumFaces; ++i)
      if (part.mFaces[i].mNumIndices == 3)
        mesh.triangles.push_back({base + part.mFaces[i].mIndices[0], base + part.mFaces[i].mIndices[1],
                                  base + part.mFaces[i].mIndices[2]});
  }
  return mesh;
}

std::vector<fs::path> files_below(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    const std::string extension = entry.path().extension().string();
    if (extension == ".glb" || extension == ".gltf" || extension == ".obj") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

void compare_all(const fs::path& folder, std::size_t expected_files, bool coloured) {
  if (!fs::exists(folder)) GTEST_SKIP() << "no real assets at " << folder;
  const std::vector<fs::path> files = files_below(folder);
  EXPECT_GE(files.size(), expected_files);
  for (const fs::path& file : files) {
    SCOPED_TRACE(file.string());
    Mesh mesh;
    ASSERT_NO_THROW(mesh = read_mesh(file));
    const Mesh expected = read_independently(file);
    ASSERT_FALSE(expected.triangles.empty());
    EXPECT_NEAR(mesh.surface_area() / expected.surface_area(), 1, 0.01);
    const Bounds a = mesh.bounds(), b = expected.bounds();
    const float tolerance = 0.01f * length(b.extent());
    EXPECT_LT(length(a.low - b.low), tolerance);
    EXPECT_LT(length(a.high - b.high), tolerance);
    EXPECT_EQ(mesh.colours.size(), coloured ? mesh.positions.size() : 0);
  }
}

TEST(RealAssetsSlow, KayKitAgreesWithAnIndependentReader) {
  compare_all(fs::path(OMNI_SHARED_DIR) / "data" / "kaykit", 463, true);
}

TEST(RealAssetsSlow, ClassicsAgreeWithAnIndependentReader) {
  compare_all(fs::path(OMNI_SHARED_DIR) / "data" / "classic", 7, false);
}

TEST(RealAssetsSlow, RoundTripsThroughEveryFormat) {
  const fs::path folder = fs::path(OMNI_SHARED_DIR) / "data" / "kaykit" / "furniture";
  if (!fs::exists(folder)) GTEST_SKIP() << "no real assets at " << folder;
  const test::TemporaryDirectory copies;
  const std::vector<fs::path> files = files_below(folder);
  for (std::size_t i = 0; i < files.size(); i += 5) {
    const Mesh mesh = read_mesh(files[i]);
    for (const char* extension : {".glb", ".obj", ".ply", ".stl"}) {
      const fs::path path = copies / (std::string("copy") + extension);
      write_mesh(path, mesh);
      const Mesh back = read_mesh(path);
      EXPECT_EQ(back.triangles.size(), mesh.triangles.size());
      EXPECT_NEAR(back.surface_area() / mesh.surface_area(), 1, 1e-6);
      EXPECT_EQ(back.bounds().low, mesh.bounds().low);
    }
  }
}

}  // namespace
}  // namespace omni::geometry
