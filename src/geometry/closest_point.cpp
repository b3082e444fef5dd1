#include "closest_point.h"

#include <limits>

namespace omni::geometry {
namespace {

struct Search {
  const Vec3* positions;
  const std::array<std::uint32_t, 3>* triangles;
  Vec3 point;
  bool first_is_enough;
  float best_squared;
  ClosestPoint best;
};

bool visit_triangle(RTCPointQueryFunctionArguments* arguments) {
  auto& search = *static_cast<Search*>(arguments->userPtr);
  const auto& t = search.triangles[arguments->primID];
  const Vec3 a = search.positions[t[0]], b = search.positions[t[1]], c = search.positions[t[2]];
  const Vec3 weights = closest_weights(search.point, a, b, c);
  const Vec3 nearest = a * weights.x + b * weights.y + c * weights.z;
  const Vec3 offset = nearest - search.point;
  const float squared = dot(offset, offset);
  if (!(squared < search.best_squared)) return false;
  search.best_squared = squared;
  search.best = {nearest, std::sqrt(squared), arguments->primID, weights};
  arguments->query->radius = search.first_is_enough ? 0.0f : search.best.distance;
  return true;
}

void run(RTCScene scene, Search& search, float radius) {
  RTCPointQuery query{search.point.x, search.point.y, search.point.z, 0.0f, radius};
  RTCPointQueryContext context;
  rtcInitPointQueryContext(&context);
  rtcPointQuery(scene, &query, &context, visit_triangle, &search);
}

}  // namespace

Vec3 closest_weights(Vec3 p, Vec3 a, Vec3 b, Vec3 c) {
  const Vec3 ab = b - a, ac = c - a, ap = p - a;
  const float d1 = dot(ab, ap), d2 = dot(ac, ap);
  if (d1 <= 0 && d2 <= 0) return {1, 0, 0};
  const Vec3 bp = p - b;
  const float d3 = dot(ab, bp), d4 = dot(ac, bp);
  if (d3 >= 0 && d4 <= d3) return {0, 1, 0};
  const float vc = d1 * d4 - d3 * d2;
  if (vc <= 0 && d1 >= 0 && d3 <= 0) {
    const float v = d1 / (d1 - d3);
    return {1 - v, v, 0};
  }
  const Vec3 cp = p - c;
  const float d5 = dot(ab, cp), d6 = dot(ac, cp);
  if (d6 >= 0 && d5 <= d6) return {0, 0, 1};
  const float vb = d5 * d2 - d1 * d6;
  if (vb <= 0 && d2 >= 0 && d6 <= 0) {
    const float w = d2 / (d2 - d6);
    return {1 - w, 0, w};
  }
  const float va = d3 * d6 - d5 * d4;
  if (va <= 0 && d4 - d3 >= 0 && d5 - d6 >= 0) {
    const float w = (d4 - d3) / ((d4 - d3) + (d5 - d6));
    return {0, 1 - w, w};
  }
  const float scale = 1 / (va + vb + vc);
  return {1 - (vb + vc) * scale, vb * scale, vc * scale};
}

ClosestPointTree::ClosestPointTree(const Mesh& mesh)
    : positions_(mesh.positions),
      triangles_(mesh.triangles),
      scene_(mesh, EmbreeScene::Quality::fast_queries) {}

ClosestPoint ClosestPointTree::closest(Vec3 point) const {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  Search search{positions_.data(), triangles_.data(), point, false, kInfinity, {}};
  search.best.distance = kInfinity;
  run(scene_.handle(), search, kInfinity);
  return search.best;
}

bool ClosestPointTree::any_within(Vec3 point, float distance) const {
  const float squared = distance * distance;
  Search search{positions_.data(), triangles_.data(), point, true, squared, {}};
  run(scene_.handle(), search, distance);
  return search.best_squared < squared;
}

}  // namespace omni::geometry
