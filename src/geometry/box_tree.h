#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "omni/geometry/vector3.h"

namespace omni::geometry {

inline bool overlap(const Bounds& a, const Bounds& b) {
  return a.low.x <= b.high.x && b.low.x <= a.high.x && a.low.y <= b.high.y && b.low.y <= a.high.y &&
         a.low.z <= b.high.z && b.low.z <= a.high.z;
}

// A hierarchy over boxes, split at the median of the longest axis, that answers which of them a box overlaps.
class BoxTree {
 public:
  explicit BoxTree(std::span<const Bounds> boxes);

  // Calls visit(index) for boxes that overlap `query`, until it returns true; returns whether it did.
  template <class Visit>
  bool any_overlap(const Bounds& query, const Visit& visit) const {
    std::uint32_t stack[64];
    int depth = 0;
    if (!nodes_.empty()) stack[depth++] = 0;
    while (depth > 0) {
      const Node& node = nodes_[stack[--depth]];
      if (!overlap(node.box, query)) continue;
      if (node.count == 0) {
        stack[depth++] = node.first;
        stack[depth++] = node.first + 1;
        continue;
      }
      for (std::uint32_t i = node.first; i < node.first + node.count; ++i)
        if (overlap(boxes_[order_[i]], query) && visit(order_[i])) return true;
    }
    return false;
  }

 private:
  struct Node {
    Bounds box;
    std::uint32_t first = 0;  // of the two children, or of the boxes in a leaf
    std::uint32_t count = 0;  // boxes of a leaf; 0: inner node
  };
  void split(std::uint32_t node, std::uint32_t begin, std::uint32_t end);

  std::span<const Bounds> boxes_;
  std::vector<std::uint32_t> order_;
  std::vector<Node> nodes_;
};

}  // namespace omni::geometry
