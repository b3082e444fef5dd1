#include "box_tree.h"

#include <algorithm>
#include <numeric>

namespace omni::geometry {
namespace {

constexpr std::uint32_t kLeafBoxes = 4;

}  // namespace

BoxTree::BoxTree(std::span<const Bounds> boxes) : boxes_(boxes), order_(boxes.size()) {
  std::iota(order_.begin(), order_.end(), 0u);
  if (boxes.empty()) return;
  nodes_.reserve(boxes.size());
  nodes_.emplace_back();
  split(0, 0, static_cast<std::uint32_t>(boxes.size()));
}

void BoxTree::split(std::uint32_t node, std::uint32_t begin, std::uint32_t end) {
  Bounds box, centres;
  for (std::uint32_t i = begin; i < end; ++i) {
    const Bounds& own = boxes_[order_[i]];
    box.include(own.low);
    box.include(own.high);
    centres.include(own.centre());
  }
  nodes_[node].box = box;
  if (end - begin <= kLeafBoxes) {
    nodes_[node].first = begin;
    nodes_[node].count = end - begin;
    return;
  }
  const std::size_t axis = centres.longest_axis();
  const std::uint32_t middle = begin + (end - begin) / 2;
  std::nth_element(
      order_.begin() + begin, order_.begin() + middle, order_.begin() + end,
      [&](std::uint32_t a, std::uint32_t b) { return boxes_[a].centre()[axis] < boxes_[b].centre()[axis]; });
  const auto children = static_cast<std::uint32_t>(nodes_.size());
  nodes_[node].first = children;
  nodes_.emplace_back();
  nodes_.emplace_back();
  split(children, begin, middle);
  split(children + 1, middle, end);
}

}  // namespace omni::geometry
