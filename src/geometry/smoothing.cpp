#include "omni/geometry/smoothing.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <span>
#include <vector>

#include "omni/core/parallel.h"

namespace omni::geometry {
namespace {

constexpr std::int64_t kGrain = 2048;  // vertices or triangles that a thread takes at a time

// The triangles at each vertex.
class Fans {
 public:
  explicit Fans(const Mesh& mesh) : starts_(mesh.positions.size() + 1) {
    for (const auto& corners : mesh.triangles)
      for (const std::uint32_t vertex : corners) ++starts_[vertex + 1];
    for (std::size_t i = 1; i < starts_.size(); ++i) starts_[i] += starts_[i - 1];
    triangles_.resize(starts_.back());
    std::vector<std::uint32_t> next(starts_.begin(), starts_.end() - 1);
    for (std::uint32_t t = 0; t < mesh.triangles.size(); ++t)
      for (const std::uint32_t vertex : mesh.triangles[t]) triangles_[next[vertex]++] = t;
  }
  std::span<const std::uint32_t> at(std::uint32_t vertex) const {
    return {triangles_.data() + starts_[vertex], triangles_.data() + starts_[vertex + 1]};
  }

 private:
  std::vector<std::uint32_t> starts_, triangles_;
};

// Of each triangle.
struct Faces {
  std::vector<Vec3> normals, centres;
  std::vector<float> areas;

  explicit Faces(const Mesh& mesh)
      : normals(mesh.triangles.size()), centres(mesh.triangles.size()), areas(mesh.triangles.size()) {
    for (std::size_t t = 0; t < mesh.triangles.size(); ++t) {
      const auto& [i, j, k] = mesh.triangles[t];
      const Vec3 a = mesh.positions[i], b = mesh.positions[j], c = mesh.positions[k];
      const Vec3 normal = cross(b - a, c - a);
      areas[t] = 0.5f * length(normal);
      normals[t] = areas[t] > 0 ? normalised(normal) : Vec3{};
      centres[t] = (a + b + c) * (1.0f / 3);
    }
  }
};

double mean_edge_length(const Mesh& mesh) {
  double sum = 0;
  for (const auto& corners : mesh.triangles)
    for (std::size_t i = 0; i < 3; ++i)
      sum += length(mesh.positions[corners[i]] - mesh.positions[corners[(i + 1) % 3]]);
  return sum / (3.0 * static_cast<double>(mesh.triangles.size()));
}

// Each triangle's normal becomes the mean of those around it, by area, distance and likeness. A triangle that
// shares an edge is met twice and so counts twice.
std::vector<Vec3> filtered_normals(const Mesh& mesh, const Fans& fans, const Faces& faces, float reach,
                                   float crease) {
  std::vector<Vec3> result(faces.normals.size());
  const float by_distance = -0.5f / (reach * reach), by_likeness = -0.5f / (crease * crease);
  parallel_for(static_cast<std::int64_t>(result.size()), kGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const auto t = static_cast<std::size_t>(i);
      Vec3 sum = faces.normals[t] * faces.areas[t];
      for (const std::uint32_t vertex : mesh.triangles[t])
        for (const std::uint32_t other : fans.at(vertex)) {
          if (other == t) continue;
          const Vec3 apart = faces.centres[other] - faces.centres[t],
                     turn = faces.normals[other] - faces.normals[t];
          const float weight =
              faces.areas[other] * std::exp(by_distance * dot(apart, apart) + by_likeness * dot(turn, turn));
          sum = sum + faces.normals[other] * weight;
        }
      const float size = length(sum);
      result[t] = size > 0 ? sum * (1 / size) : faces.normals[t];
    }
  });
  return result;
}

// Each vertex moves by the mean of its distances to the planes through the centres of its triangles.
void move_vertices(Mesh& mesh, const Fans& fans, const std::vector<Vec3>& normals,
                   const std::vector<Vec3>& start, float furthest) {
  const std::vector<Vec3> centres = Faces(mesh).centres;
  parallel_for(static_cast<std::int64_t>(start.size()), kGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const auto vertex = static_cast<std::uint32_t>(i);
      const std::span<const std::uint32_t> fan = fans.at(vertex);
      if (fan.empty()) continue;
      const Vec3 from = mesh.positions[vertex];
      Vec3 move{};
      for (const std::uint32_t t : fan) move = move + normals[t] * dot(normals[t], centres[t] - from);
      const Vec3 total = from + move * (1.0f / static_cast<float>(fan.size())) - start[vertex];
      const float distance = length(total);
      mesh.positions[vertex] = start[vertex] + (distance > furthest ? total * (furthest / distance) : total);
    }
  });
}

}  // namespace

void smooth(Mesh& mesh, const SmoothingOptions& options) {
  if (mesh.triangles.empty()) return;
  const Fans fans(mesh);
  const std::vector<Vec3> start = mesh.positions;
  const auto edge = static_cast<float>(mean_edge_length(mesh));
  const float crease = 2 * std::sin(0.5f * options.crease_degrees * std::numbers::pi_v<float> / 180);
  Faces faces(mesh);
  for (int round = 0; round < options.normal_rounds; ++round)
    faces.normals = filtered_normals(mesh, fans, faces, edge, crease);
  for (int round = 0; round < options.vertex_rounds; ++round)
    move_vertices(mesh, fans, faces.normals, start, edge * static_cast<float>(options.furthest_edges));
}

}  // namespace omni::geometry
