#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "omni/geometry/mesh.h"

namespace omni::geometry {

// Generalised winding numbers of a triangle soup in logarithmic time (Barill et al., "Fast winding numbers
// for soups and clouds", SIGGRAPH 2018): far clusters act as a dipole with a first-order correction, near
// triangles by their exact solid angle (Van Oosterom and Strackee 1983). Thread-safe.
class WindingTree {
 public:
  explicit WindingTree(const Mesh& mesh);
  float winding_number(Vec3 point) const;

 private:
  // A cluster is far from points beyond `kAccuracy` times its radius, the paper's beta.
  static constexpr float kAccuracy = 2.0f;
  static constexpr int kLeafTriangles = 8;

  struct Node {
    Vec3 centre;                    // area-weighted
    float far_squared = 0;          // (kAccuracy radius)^2
    Vec3 dipole;                    // sum of area vectors
    float trace = 0;                // of the moment below
    std::array<float, 6> moment{};  // symmetric part of sum (x - centre) (area vector)^T: xx yy zz xy xz yz
    std::uint32_t begin = 0;        // triangles
    std::uint32_t end = 0;
    std::uint32_t right = 0;  // second child; the first follows its parent. 0 for a leaf
    std::uint32_t leaf = 0;   // of a leaf: its corners
  };
  using Triangle = std::array<Vec3, 3>;
  // The corners of a leaf's triangles, one coordinate side by side: [corner][axis][triangle]. Places that are
  // left over hold a point, whose solid angle is zero.
  using LeafCorners = std::array<std::array<std::array<float, kLeafTriangles>, 3>, 3>;
  class AngleSum;

  std::uint32_t build(std::uint32_t begin, std::uint32_t end);
  void summarise(Node& node) const;
  LeafCorners corners_of(const Node& leaf) const;

  std::vector<Triangle> triangles_;  // while the tree is built
  std::vector<Node> nodes_;
  std::vector<LeafCorners> leaves_;
};

}  // namespace omni::geometry
