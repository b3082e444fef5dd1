#include "point_tree.h"

#include <algorithm>
#include <limits>

#include "omni/core/error.h"

namespace omni::geometry {

PointTree::PointTree(std::span<const Vec3> points) : axis_(points.size()) {
  ensure(!points.empty(), "a point tree needs a point");
  entries_.reserve(points.size());
  for (std::size_t i = 0; i < points.size(); ++i)
    entries_.push_back({points[i], static_cast<std::uint32_t>(i)});
  build(0, entries_.size());
}

void PointTree::build(std::size_t begin, std::size_t end) {
  if (end - begin <= kLeafPoints) return;
  Bounds bounds;
  for (std::size_t i = begin; i < end; ++i) bounds.include(entries_[i].position);
  const std::size_t axis = bounds.longest_axis();
  const std::size_t middle = begin + (end - begin) / 2;
  std::nth_element(entries_.begin() + begin, entries_.begin() + middle, entries_.begin() + end,
                   [axis](const Entry& a, const Entry& b) { return a.position[axis] < b.position[axis]; });
  axis_[middle] = static_cast<std::uint8_t>(axis);
  build(begin, middle);
  build(middle + 1, end);
}

PointTree::Neighbour PointTree::nearest(Vec3 query) const {
  Neighbour best{entries_[0].index, std::numeric_limits<float>::infinity()};
  search(0, entries_.size(), query, best);
  return best;
}

void PointTree::search(std::size_t begin, std::size_t end, Vec3 query, Neighbour& best) const {
  const auto consider = [&](const Entry& entry) {
    const Vec3 offset = entry.position - query;
    const float squared = dot(offset, offset);
    if (squared < best.squared_distance) best = {entry.index, squared};
  };
  if (end - begin <= kLeafPoints) {
    for (std::size_t i = begin; i < end; ++i) consider(entries_[i]);
    return;
  }
  const std::size_t middle = begin + (end - begin) / 2;
  consider(entries_[middle]);
  const float offset = query[axis_[middle]] - entries_[middle].position[axis_[middle]];
  const bool left_first = offset < 0;
  search(left_first ? begin : middle + 1, left_first ? middle : end, query, best);
  if (offset * offset < best.squared_distance) {
    search(left_first ? middle + 1 : begin, left_first ? end : middle, query, best);
  }
}

}  // namespace omni::geometry
