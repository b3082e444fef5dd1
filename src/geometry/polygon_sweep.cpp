#include "polygon_sweep.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <set>

namespace omni::geometry {
namespace {

using Vertex = std::uint32_t;
using Triangles = std::vector<std::array<std::uint32_t, 3>>;

// From above to below, and from left to right at one height: a total order.
bool above(std::span<const PlanePoint> points, Vertex a, Vertex b) {
  const PlanePoint p = points[a], q = points[b];
  if (p.y != q.y) return p.y > q.y;
  return p.x != q.x ? p.x < q.x : a < b;
}

// Finds the diagonals that cut a polygon into pieces which are monotone in y. Edge i leads from corner i to
// the next.
class Sweep {
 public:
  explicit Sweep(std::span<const PlanePoint> points)
      : points_(points),
        helper_(points.size()),
        is_merge_(points.size(), false),
        status_(Order{this}),
        place_(points.size(), status_.end()) {}
  Sweep(const Sweep&) = delete;
  Sweep& operator=(const Sweep&) = delete;

  // Nothing where the corners do not bound one area.
  std::optional<std::vector<std::array<Vertex, 2>>> diagonals() {
    std::vector<Vertex> order(points_.size());
    std::iota(order.begin(), order.end(), 0u);
    std::sort(order.begin(), order.end(), [&](Vertex a, Vertex b) { return above(points_, a, b); });
    for (const Vertex v : order)
      if (!visit(v)) return std::nullopt;
    return std::move(diagonals_);
  }

 private:
  struct Query {
    Vertex corner;
  };
  // The edges that cross the sweep line and have the inside on their right, from left to right.
  struct Order {
    using is_transparent = void;
    const Sweep* of;
    bool operator()(Vertex e, Vertex f) const { return e != f && of->is_left(e, f); }
    bool operator()(Vertex e, Query q) const { return of->side(e, q.corner) > 0; }
    bool operator()(Query q, Vertex e) const { return of->side(e, q.corner) < 0; }
  };
  using Status = std::set<Vertex, Order>;

  Vertex next(Vertex v) const { return v + 1 == points_.size() ? 0 : v + 1; }
  Vertex previous(Vertex v) const { return v == 0 ? Vertex(points_.size() - 1) : v - 1; }

  // Positive where the corner lies on the right of edge e, which leads downwards.
  double side(Vertex e, Vertex corner) const { return turn(points_[e], points_[next(e)], points_[corner]); }

  bool is_left(Vertex e, Vertex f) const {
    if (above(points_, e, f)) {
      const double begin = side(e, f), end = side(e, next(f));
      return begin != 0 ? begin > 0 : end > 0;
    }
    const double begin = side(f, e), end = side(f, next(e));
    return begin != 0 ? begin < 0 : end < 0;
  }

  // False where the edge lies on another one.
  bool insert(Vertex e) {
    const auto [place, is_new] = status_.insert(e);
    helper_[e] = e;
    if (is_new) place_[e] = place;
    return is_new;
  }
  bool erase(Vertex e) {
    if (place_[e] == status_.end()) return false;
    status_.erase(place_[e]);
    place_[e] = status_.end();
    return true;
  }
  std::optional<Vertex> edge_left_of(Vertex corner) const {
    const auto right = status_.lower_bound(Query{corner});
    if (right == status_.begin()) return std::nullopt;
    return *std::prev(right);
  }
  void join_merge(Vertex corner, Vertex edge) {
    if (is_merge_[helper_[edge]]) diagonals_.push_back({corner, helper_[edge]});
  }
  // What a corner does that has the inside on its left: it helps the edge there.
  bool help_left(Vertex corner) {
    const std::optional<Vertex> left = edge_left_of(corner);
    if (!left) return false;
    join_merge(corner, *left);
    helper_[*left] = corner;
    return true;
  }
  bool end_edge(Vertex corner) {
    join_merge(corner, previous(corner));
    return erase(previous(corner));
  }

  bool visit(Vertex v) {
    const bool before_above = above(points_, previous(v), v), after_above = above(points_, next(v), v);
    const bool convex = turn(points_[previous(v)], points_[v], points_[next(v)]) > 0;
    if (!before_above && !after_above) {
      if (!convex) {  // splits what is below it
        const std::optional<Vertex> left = edge_left_of(v);
        if (!left) return false;
        diagonals_.push_back({v, helper_[*left]});
        helper_[*left] = v;
      }
      return insert(v);
    }
    if (before_above && after_above) {
      if (!end_edge(v)) return false;
      if (convex) return true;
      is_merge_[v] = true;
      return help_left(v);
    }
    if (!before_above) return help_left(v);
    if (!end_edge(v)) return false;
    return insert(v);
  }

  std::span<const PlanePoint> points_;
  std::vector<Vertex> helper_;  // per edge: the lowest corner so far that sees it along the sweep line
  std::vector<bool> is_merge_;
  Status status_;
  std::vector<Status::iterator> place_;
  std::vector<std::array<Vertex, 2>> diagonals_;
};

// The pieces that diagonals cut a polygon into, each as its corners in counter-clockwise order.
std::vector<std::vector<Vertex>> pieces_of(std::span<const PlanePoint> points,
                                           const std::vector<std::array<Vertex, 2>>& diagonals) {
  const auto n = Vertex(points.size());
  // Directed edges in pairs of both directions; those of the polygon come first.
  std::vector<std::array<Vertex, 2>> edges;
  for (Vertex v = 0; v < n; ++v) {
    const Vertex w = v + 1 == n ? 0 : v + 1;
    edges.insert(edges.end(), {{v, w}, {w, v}});
  }
  for (const auto& [a, b] : diagonals) edges.insert(edges.end(), {{a, b}, {b, a}});
  std::vector<std::uint32_t> first(n + 1, 0), around(edges.size()), rank(edges.size());
  for (const auto& edge : edges) ++first[edge[0] + 1];
  std::partial_sum(first.begin(), first.end(), first.begin());
  std::vector<std::uint32_t> filled(first.begin(), first.end() - 1);
  for (std::uint32_t e = 0; e < edges.size(); ++e) around[filled[edges[e][0]]++] = e;
  std::vector<double> angle(edges.size());
  for (std::size_t e = 0; e < edges.size(); ++e) {
    const PlanePoint a = points[edges[e][0]], b = points[edges[e][1]];
    angle[e] = std::atan2(b.y - a.y, b.x - a.x);
  }
  const auto turns_before = [&](std::uint32_t e, std::uint32_t f) { return angle[e] < angle[f]; };
  for (Vertex v = 0; v < n; ++v) {
    std::sort(around.begin() + first[v], around.begin() + first[v + 1], turns_before);
    for (std::uint32_t i = first[v]; i < first[v + 1]; ++i) rank[around[i]] = i;
  }
  std::vector<std::vector<Vertex>> pieces;
  std::vector<bool> walked(edges.size(), false);
  for (std::uint32_t start = 0; start < edges.size(); ++start) {
    const bool outside = start < 2 * n && start % 2 == 1;
    if (walked[start] || outside) continue;
    std::vector<Vertex>& piece = pieces.emplace_back();
    for (std::uint32_t e = start; !walked[e];) {
      walked[e] = true;
      piece.push_back(edges[e][0]);
      // The next edge clockwise from the way back bounds the same piece.
      const Vertex v = edges[e][1];
      const std::uint32_t back = rank[e ^ 1];
      e = around[back == first[v] ? first[v + 1] - 1 : back - 1];
    }
  }
  return pieces;
}

void triangulate_monotone(std::span<const PlanePoint> points, const std::vector<Vertex>& piece,
                          Triangles& triangles) {
  const auto emit = [&](Vertex a, Vertex b, Vertex c) {
    if (turn(points[a], points[b], points[c]) < 0) std::swap(b, c);
    triangles.push_back({a, b, c});
  };
  if (piece.size() == 3) return emit(piece[0], piece[1], piece[2]);
  const auto is_above = [&](Vertex a, Vertex b) { return above(points, a, b); };
  const std::size_t count = piece.size();
  const auto top = std::size_t(std::min_element(piece.begin(), piece.end(), is_above) - piece.begin());
  // Counter-clockwise from the top leads down the left chain.
  struct Corner {
    Vertex vertex;
    bool left;
  };
  std::vector<Corner> corners;
  bool left = true;
  for (std::size_t i = 0; i < count; ++i) {
    const Vertex here = piece[(top + i) % count], after = piece[(top + i + 1) % count];
    corners.push_back({here, left});
    if (left && !is_above(here, after)) left = false;
  }
  std::sort(corners.begin(), corners.end(), [&](Corner a, Corner b) { return is_above(a.vertex, b.vertex); });
  std::vector<Corner> stack = {corners[0], corners[1]};
  for (std::size_t i = 2; i + 1 < count; ++i) {
    const Corner corner = corners[i];
    if (corner.left != stack.back().left) {
      for (std::size_t k = 0; k + 1 < stack.size(); ++k)
        emit(corner.vertex, stack[k].vertex, stack[k + 1].vertex);
      stack = {stack.back(), corner};
      continue;
    }
    Corner last = stack.back();
    stack.pop_back();
    while (!stack.empty()) {
      const double turned = turn(points[stack.back().vertex], points[last.vertex], points[corner.vertex]);
      if (!(corner.left ? turned > 0 : turned < 0)) break;
      emit(corner.vertex, last.vertex, stack.back().vertex);
      last = stack.back();
      stack.pop_back();
    }
    stack.push_back(last);
    stack.push_back(corner);
  }
  for (std::size_t k = 0; k + 1 < stack.size(); ++k)
    emit(corners.back().vertex, stack[k].vertex, stack[k + 1].vertex);
}

double doubled_area(std::span<const PlanePoint> points) {
  double area = 0;
  for (std::size_t i = 1; i + 1 < points.size(); ++i) area += turn(points[0], points[i], points[i + 1]);
  return area;
}

}  // namespace

bool triangulate_by_sweep(std::span<const PlanePoint> corners, Triangles& triangles) {
  // They have no order.
  if (!std::all_of(corners.begin(), corners.end(),
                   [](PlanePoint p) { return std::isfinite(p.x) && std::isfinite(p.y); }))
    return false;
  std::vector<PlanePoint> points;
  std::vector<Vertex> source;
  for (std::size_t i = 0; i < corners.size(); ++i) {
    if (!points.empty() && corners[i] == points.back()) continue;
    points.push_back(corners[i]);
    source.push_back(Vertex(i));
  }
  while (points.size() > 1 && points.back() == points.front()) points.pop_back();
  if (points.size() < 3) return false;
  const auto diagonals = Sweep(points).diagonals();
  if (!diagonals) return false;
  Triangles made;
  for (const std::vector<Vertex>& piece : pieces_of(points, *diagonals)) {
    if (piece.size() < 3) return false;
    triangulate_monotone(points, piece, made);
  }
  // Triangles that overlap or leave something out do not sum to the area.
  double covered = 0;
  for (const auto& t : made) covered += std::abs(turn(points[t[0]], points[t[1]], points[t[2]]));
  const double area = doubled_area(points);
  constexpr double kTolerance = 1e-9;
  if (made.size() != points.size() - 2 || !(std::abs(covered - area) <= kTolerance * std::abs(area)))
    return false;
  for (const auto& t : made) triangles.push_back({source[t[0]], source[t[1]], source[t[2]]});
  return true;
}

}  // namespace omni::geometry
