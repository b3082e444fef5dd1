// Times three pieces of the geometry room on inputs that benchmarks/peers/geometry.py reads, too:
//   geometry FOLDER   writes FOLDER/field.npy, mesh.ply and queries.npy, then times
//     extraction  extract_iso_surface() of a 257^3 array             against skimage.measure.marching_cubes
//     sampling    sample_surface(), 8,192 points with normals        against trimesh.sample.sample_surface
//                 on a mesh of 280,000 faces                         and mesh.face_normals[faces]
//     distance    MeshField::closest(), 5,000 near points, same      against trimesh.proximity.closest_point
// Each is the median of several calls; what can be kept between calls (trees, areas) is built anew in each,
// as both sides would for a new mesh, but for distance, where the queries alone are timed on both sides.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "omni/core/random.h"
#include "omni/geometry/iso_surface.h"
#include "omni/geometry/mesh_field.h"
#include "omni/geometry/mesh_files.h"
#include "omni/geometry/surface_points.h"

namespace {

using namespace omni;
using geometry::Vec3;

constexpr int kResolution = 256;
constexpr int kAround = 374;  // 374 x 374 x 2 triangles
constexpr std::size_t kQueries = 5000;

double median_ms(int repeats, const std::function<void()>& work) {
  std::vector<double> times;
  for (int i = 0; i < repeats; ++i) {
    const auto start = std::chrono::steady_clock::now();
    work();
    times.push_back(
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
  }
  std::nth_element(times.begin(), times.begin() + repeats / 2, times.end());
  return times[repeats / 2];
}

// A torus with bumps, in the frame of [-1.05, 1.05]^3: positive inside.
float bumpy_torus(Vec3 p) {
  const float ring = std::sqrt(p.x * p.x + p.z * p.z) - 0.65f;
  const float bumps = 0.02f * std::sin(14 * p.x) * std::sin(14 * p.y) * std::sin(14 * p.z);
  return 0.25f - std::sqrt(ring * ring + p.y * p.y) + bumps;
}

std::vector<float> sampled_field(const geometry::IsoSurfaceOptions& options) {
  const int points = options.resolution + 1;
  std::vector<float> values;
  values.reserve(std::size_t(points) * points * points);
  for (int z = 0; z < points; ++z)
    for (int y = 0; y < points; ++y)
      for (int x = 0; x < points; ++x)
        values.push_back(bumpy_torus(geometry::lattice_point(options, x, y, z)));
  return values;
}

// A closed, bumpy torus as a grid of triangles.
geometry::Mesh bumpy_mesh() {
  geometry::Mesh mesh;
  for (int i = 0; i < kAround; ++i)
    for (int j = 0; j < kAround; ++j) {
      const float u = 6.2831853f * float(i) / kAround, v = 6.2831853f * float(j) / kAround;
      const float tube = 0.25f + 0.02f * std::sin(9 * u) * std::sin(11 * v);
      const float ring = 0.65f + tube * std::cos(v);
      mesh.positions.push_back({ring * std::cos(u), tube * std::sin(v), ring * std::sin(u)});
    }
  for (int i = 0; i < kAround; ++i)
    for (int j = 0; j < kAround; ++j) {
      const auto at = [](int a, int b) {
        return static_cast<std::uint32_t>(a % kAround * kAround + b % kAround);
      };
      mesh.triangles.push_back({at(i, j), at(i, j + 1), at(i + 1, j)});
      mesh.triangles.push_back({at(i + 1, j), at(i, j + 1), at(i + 1, j + 1)});
    }
  return mesh;
}

// A .npy file of float32.
void write_floats(const std::string& path, const std::string& shape, std::span<const float> values) {
  std::ofstream out(path, std::ios::binary);
  std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': " + shape + ", }";
  header.append(64 - 1 - (10 + header.size()) % 64, ' ');
  header += '\n';
  out << "\x93NUMPY" << '\1' << '\0' << static_cast<char>(header.size()) << '\0' << header;
  out.write(reinterpret_cast<const char*>(values.data()), static_cast<std::streamsize>(values.size_bytes()));
}

// Within about 0.05 of the surface: trimesh's time and memory explode for points further away.
std::vector<Vec3> near_points(const geometry::Mesh& mesh, CounterRng& rng) {
  const geometry::SurfacePoints points = geometry::sample_surface(mesh, kQueries, rng);
  std::vector<Vec3> near;
  for (std::size_t i = 0; i < points.positions.size(); ++i)
    near.push_back(points.positions[i] + points.normals[i] * static_cast<float>(0.1 * rng.uniform() - 0.05));
  return near;
}

}  // namespace

int main(int argument_count, char** arguments) {
  if (argument_count != 2) {
    std::fprintf(stderr, "usage: geometry FOLDER\n");
    return 2;
  }
  const std::string folder = arguments[1];
  const geometry::IsoSurfaceOptions options{.resolution = kResolution};
  const std::vector<float> field = sampled_field(options);
  const geometry::Mesh mesh = bumpy_mesh();
  write_floats(folder + "/field.npy", "(257, 257, 257)", field);
  geometry::write_mesh(folder + "/mesh.ply", mesh);

  std::size_t triangles = 0;
  const double extraction =
      median_ms(9, [&] { triangles = geometry::extract_iso_surface(field, options).triangles.size(); });
  std::printf("extraction: %.2f ms (%zu triangles)\n", extraction, triangles);

  CounterRng rng(1);
  geometry::SurfacePoints points;
  const double sampling = median_ms(9, [&] { points = geometry::sample_surface(mesh, 8192, rng); });
  std::printf("sampling: %.2f ms (%zu faces)\n", sampling, mesh.triangles.size());

  const std::vector<Vec3> queries = near_points(mesh, rng);
  write_floats(folder + "/queries.npy", "(5000, 3)", {&queries[0].x, 3 * queries.size()});
  std::vector<geometry::ClosestPoint> closest(queries.size());
  const geometry::MeshField mesh_field(mesh);
  const double distance = median_ms(5, [&] { mesh_field.closest(queries, closest); });
  std::printf("distance: %.2f ms (%zu queries)\n", distance, queries.size());
  return 0;
}
