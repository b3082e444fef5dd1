#include "winding_tree.h"

#include <algorithm>
#include <numbers>

namespace omni::geometry {
namespace {

Vec3 centroid(const std::array<Vec3, 3>& t) { return (t[0] + t[1] + t[2]) / 3.0f; }
Vec3 area_vector(const std::array<Vec3, 3>& t) { return cross(t[1] - t[0], t[2] - t[0]) * 0.5f; }

}  // namespace

// Half solid angles, added up as a product of complex numbers: an arc tangent for every triangle would cost
// more than all else.
class WindingTree::AngleSum {
 public:
  // Triangles of a leaf as `point` sees them.
  void add(const LeafCorners& corners, Vec3 point) {
    std::array<float, kLeafTriangles> cosine, sine;  // times the same positive number
    for (std::size_t i = 0; i < kLeafTriangles; ++i) {
      const auto corner = [&](std::size_t c) {
        return Vec3{corners[c][0][i] - point.x, corners[c][1][i] - point.y, corners[c][2][i] - point.z};
      };
      const Vec3 a = corner(0), b = corner(1), c = corner(2);
      const float la = std::sqrt(dot(a, a)), lb = std::sqrt(dot(b, b)), lc = std::sqrt(dot(c, c));
      sine[i] = dot(a, cross(b, c));
      cosine[i] = la * lb * lc + dot(a, b) * lc + dot(b, c) * la + dot(c, a) * lb;
    }
    for (std::size_t i = 0; i < kLeafTriangles; ++i) turn(cosine[i], sine[i]);
    const double size = std::max(std::abs(re_), std::abs(im_));
    re_ /= size;
    im_ /= size;
  }
  float sum() const { return static_cast<float>(std::atan2(im_, re_) + 2 * std::numbers::pi * turns_); }

 private:
  void turn(double re, double im) {
    if (re == 0 && im == 0) return;  // the point is a corner
    const double product = re_ * im + im_ * re;
    // Both angles lie in (-pi, pi]: where they have the same sign and their sum has not, it went once around.
    if (im_ >= 0 && im >= 0 && product < 0) ++turns_;
    if (im_ < 0 && im < 0 && product >= 0) --turns_;
    re_ = re_ * re - im_ * im;
    im_ = product;
  }
  double re_ = 1, im_ = 0;
  int turns_ = 0;
};

WindingTree::WindingTree(const Mesh& mesh) {
  triangles_.reserve(mesh.triangles.size());
  for (const auto& t : mesh.triangles) {
    const Triangle triangle{mesh.positions[t[0]], mesh.positions[t[1]], mesh.positions[t[2]]};
    if (length(area_vector(triangle)) > 0) triangles_.push_back(triangle);
  }
  if (!triangles_.empty()) build(0, static_cast<std::uint32_t>(triangles_.size()));
  triangles_ = {};  // the leaves hold their corners
}

std::uint32_t WindingTree::build(std::uint32_t begin, std::uint32_t end) {
  const auto index = static_cast<std::uint32_t>(nodes_.size());
  nodes_.emplace_back();
  nodes_[index].begin = begin;
  nodes_[index].end = end;
  summarise(nodes_[index]);
  if (end - begin <= kLeafTriangles) {
    nodes_[index].leaf = static_cast<std::uint32_t>(leaves_.size());
    leaves_.push_back(corners_of(nodes_[index]));
    return index;
  }
  Bounds bounds;
  for (std::uint32_t i = begin; i < end; ++i) bounds.include(centroid(triangles_[i]));
  const std::size_t axis = bounds.longest_axis();
  const std::uint32_t middle = begin + (end - begin) / 2;
  std::nth_element(triangles_.begin() + begin, triangles_.begin() + middle, triangles_.begin() + end,
                   [axis](const Triangle& a, const Triangle& b) {
                     return a[0][axis] + a[1][axis] + a[2][axis] < b[0][axis] + b[1][axis] + b[2][axis];
                   });
  build(begin, middle);
  nodes_[index].right = build(middle, end);
  return index;
}

void WindingTree::summarise(Node& node) const {
  double area = 0, weighted[3] = {};
  for (std::uint32_t i = node.begin; i < node.end; ++i) {
    const double a = length(area_vector(triangles_[i]));
    const Vec3 c = centroid(triangles_[i]);
    area += a;
    for (std::size_t axis = 0; axis < 3; ++axis) weighted[axis] += a * c[axis];
  }
  node.centre = {float(weighted[0] / area), float(weighted[1] / area), float(weighted[2] / area)};
  float radius_squared = 0;
  for (std::uint32_t i = node.begin; i < node.end; ++i) {
    const Triangle& t = triangles_[i];
    for (const Vec3& corner : t) {
      radius_squared = std::max(radius_squared, dot(corner - node.centre, corner - node.centre));
    }
    const Vec3 n = area_vector(t);
    const Vec3 r = centroid(t) - node.centre;
    node.dipole += n;
    node.moment[0] += r.x * n.x;
    node.moment[1] += r.y * n.y;
    node.moment[2] += r.z * n.z;
    node.moment[3] += r.x * n.y + r.y * n.x;
    node.moment[4] += r.x * n.z + r.z * n.x;
    node.moment[5] += r.y * n.z + r.z * n.y;
  }
  node.trace = node.moment[0] + node.moment[1] + node.moment[2];
  node.far_squared = kAccuracy * kAccuracy * radius_squared;
}

WindingTree::LeafCorners WindingTree::corners_of(const Node& leaf) const {
  LeafCorners corners;
  for (std::uint32_t i = 0; i < kLeafTriangles; ++i) {
    const Triangle& t = triangles_[std::min(leaf.begin + i, leaf.end - 1)];
    for (std::size_t c = 0; c < 3; ++c)
      for (std::size_t axis = 0; axis < 3; ++axis)
        corners[c][axis][i] = t[leaf.begin + i < leaf.end ? c : 0][axis];
  }
  return corners;
}

float WindingTree::winding_number(Vec3 point) const {
  if (nodes_.empty()) return 0;
  float far_sum = 0;
  AngleSum near;
  std::uint32_t stack[64];  // halving keeps the tree under 32 levels
  int depth = 0;
  stack[depth++] = 0;
  while (depth > 0) {
    const std::uint32_t index = stack[--depth];
    const Node& node = nodes_[index];
    const Vec3 r = node.centre - point;
    const float squared = dot(r, r);
    if (squared > node.far_squared) {
      const auto& m = node.moment;
      const float inverse = 1 / squared;
      const float quadratic = m[0] * r.x * r.x + m[1] * r.y * r.y + m[2] * r.z * r.z + m[3] * r.x * r.y +
                              m[4] * r.x * r.z + m[5] * r.y * r.z;
      far_sum += (dot(node.dipole, r) + node.trace - 3 * quadratic * inverse) * inverse * std::sqrt(inverse);
    } else if (node.right == 0) {
      near.add(leaves_[node.leaf], point);
    } else {
      stack[depth++] = node.right;
      stack[depth++] = index + 1;
    }
  }
  constexpr float kPi = std::numbers::pi_v<float>;
  return far_sum / (4 * kPi) + near.sum() / (2 * kPi);
}

}  // namespace omni::geometry
