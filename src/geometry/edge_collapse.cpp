#include "edge_collapse.h"

#include <algorithm>
#include <queue>

#include "quadric.h"

namespace omni::geometry {
namespace {

constexpr double kColourWeight = 0.002;  // squared colour difference against squared length over length
constexpr double kMinFaceCosine = 0.2;   // between a face before and after a collapse
constexpr double kLengthWeight = 1e-6;   // prefers short edges where the surface is flat

class EdgeCollapser {
 public:
  explicit EdgeCollapser(const Mesh& mesh);
  void run(std::size_t target_triangles);
  Mesh result() const;

 private:
  struct Vertex {
    Point3d position;
    Point3d colour;
    Quadric quadric;
    std::vector<std::uint32_t> faces;
    std::uint32_t version = 0;
    bool alive = false;
  };
  struct Candidate {
    double cost;
    std::uint32_t a, b;
    std::uint32_t versions;  // of a and b, added: both only grow
    bool operator<(const Candidate& o) const {
      return cost != o.cost ? cost > o.cost : a != o.a ? a > o.a : b > o.b;
    }
  };
  struct Placement {
    Point3d position;
    double cost;
  };

  Placement place(const Vertex& a, const Vertex& b) const;
  void push(std::uint32_t a, std::uint32_t b);
  void neighbours(std::uint32_t v, std::vector<std::uint32_t>& out) const;
  bool link_condition(std::uint32_t a, std::uint32_t b);
  bool keeps_faces_upright(std::uint32_t v, std::uint32_t other, Point3d position) const;
  void collapse(std::uint32_t a, std::uint32_t b, Point3d position);

  std::vector<Vertex> vertices_;
  std::vector<std::array<std::uint32_t, 3>> faces_;
  std::vector<bool> face_alive_;
  std::size_t faces_left_ = 0;
  bool coloured_ = false;
  std::priority_queue<Candidate> queue_;
  std::vector<std::uint32_t> around_a_, around_b_, shared_;
};

EdgeCollapser::EdgeCollapser(const Mesh& mesh)
    : vertices_(mesh.positions.size()),
      faces_(mesh.triangles),
      face_alive_(mesh.triangles.size(), true),
      faces_left_(mesh.triangles.size()),
      coloured_(!mesh.colours.empty()) {
  for (std::size_t v = 0; v < vertices_.size(); ++v) {
    vertices_[v].position = to_double(mesh.positions[v]);
    if (coloured_) vertices_[v].colour = to_double(mesh.colours[v]);
  }
  for (std::uint32_t f = 0; f < faces_.size(); ++f) {
    const auto& t = faces_[f];
    const Point3d a = vertices_[t[0]].position;
    const Point3d n = cross(vertices_[t[1]].position - a, vertices_[t[2]].position - a);
    const double twice_area = std::sqrt(dot(n, n));
    for (const auto v : t) {
      vertices_[v].alive = true;
      vertices_[v].faces.push_back(f);
      if (twice_area > 0) vertices_[v].quadric.add_plane(n * (1 / twice_area), a, twice_area / 6);
    }
  }
  for (const auto& t : faces_) {
    for (int c = 0; c < 3; ++c) {
      if (t[c] < t[(c + 1) % 3]) push(t[c], t[(c + 1) % 3]);  // each edge is met in both directions
    }
  }
}

EdgeCollapser::Placement EdgeCollapser::place(const Vertex& a, const Vertex& b) const {
  Quadric sum = a.quadric;
  sum += b.quadric;
  const Point3d edge = b.position - a.position;
  const double squared_length = dot(edge, edge);
  const Point3d middle = (a.position + b.position) * 0.5;
  Point3d best = middle;
  double error = sum.error(middle);
  const auto consider = [&](Point3d p) {
    const double e = sum.error(p);
    if (e < error) {
      error = e;
      best = p;
    }
  };
  consider(a.position);
  consider(b.position);
  Point3d optimum;
  if (sum.minimum(optimum) && dot(optimum - middle, optimum - middle) <= squared_length) consider(optimum);
  const Point3d colour_step = b.colour - a.colour;
  return {best, error + squared_length * squared_length * kLengthWeight +
                    kColourWeight * dot(colour_step, colour_step) * squared_length * squared_length};
}

void EdgeCollapser::push(std::uint32_t a, std::uint32_t b) {
  if (a > b) std::swap(a, b);
  queue_.push({place(vertices_[a], vertices_[b]).cost, a, b, vertices_[a].version + vertices_[b].version});
}

void EdgeCollapser::neighbours(std::uint32_t v, std::vector<std::uint32_t>& out) const {
  out.clear();
  for (const auto f : vertices_[v].faces) {
    for (const auto corner : faces_[f]) {
      if (corner != v) out.push_back(corner);
    }
  }
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
}

// The links of a and b meet in the link of the edge alone: in the two vertices opposite to it and in no edge.
bool EdgeCollapser::link_condition(std::uint32_t a, std::uint32_t b) {
  neighbours(a, around_a_);
  neighbours(b, around_b_);
  shared_.clear();
  std::set_intersection(around_a_.begin(), around_a_.end(), around_b_.begin(), around_b_.end(),
                        std::back_inserter(shared_));
  if (shared_.size() != 2) return false;
  const auto has_face_to_both = [&](std::uint32_t v) {
    return std::any_of(vertices_[v].faces.begin(), vertices_[v].faces.end(), [&](std::uint32_t f) {
      const auto& t = faces_[f];
      return std::count_if(t.begin(), t.end(), [&](auto c) { return c == shared_[0] || c == shared_[1]; }) ==
             2;
    });
  };
  return !has_face_to_both(a) || !has_face_to_both(b);
}

bool EdgeCollapser::keeps_faces_upright(std::uint32_t v, std::uint32_t other, Point3d position) const {
  for (const auto f : vertices_[v].faces) {
    const auto& t = faces_[f];
    if (std::find(t.begin(), t.end(), other) != t.end()) continue;
    const int corner = static_cast<int>(std::find(t.begin(), t.end(), v) - t.begin());
    const Point3d p = vertices_[t[(corner + 1) % 3]].position, q = vertices_[t[(corner + 2) % 3]].position;
    const Point3d before = cross(p - vertices_[v].position, q - vertices_[v].position);
    const Point3d after = cross(p - position, q - position);
    const double scale = std::sqrt(dot(before, before) * dot(after, after));
    const double longest =
        std::max({dot(p - q, p - q), dot(p - position, p - position), dot(q - position, q - position)});
    if (!(std::sqrt(dot(after, after)) > 1e-3 * longest)) return false;  // a sliver
    if (dot(before, before) > 0 && !(dot(before, after) > kMinFaceCosine * scale)) return false;
  }
  return true;
}

void EdgeCollapser::collapse(std::uint32_t a, std::uint32_t b, Point3d position) {
  Vertex& kept = vertices_[a];
  Vertex& gone = vertices_[b];
  const Point3d edge = gone.position - kept.position;
  const double squared = dot(edge, edge);
  const double along = squared > 0 ? std::clamp(dot(position - kept.position, edge) / squared, 0.0, 1.0) : 0;
  kept.colour = kept.colour * (1 - along) + gone.colour * along;
  kept.position = position;
  kept.quadric += gone.quadric;
  for (const auto f : gone.faces) {
    auto& t = faces_[f];
    if (std::find(t.begin(), t.end(), a) == t.end()) {
      std::replace(t.begin(), t.end(), b, a);
      kept.faces.push_back(f);
      continue;
    }
    face_alive_[f] = false;
    --faces_left_;
    for (const auto corner : t) {
      if (corner != b) std::erase(vertices_[corner].faces, f);
    }
  }
  gone.alive = false;
  gone.faces.clear();
  ++gone.version;
  ++kept.version;
  neighbours(a, around_a_);
  for (const auto n : around_a_) push(a, n);
}

void EdgeCollapser::run(std::size_t target_triangles) {
  while (faces_left_ > target_triangles && !queue_.empty()) {
    const Candidate next = queue_.top();
    queue_.pop();
    const Vertex& a = vertices_[next.a];
    const Vertex& b = vertices_[next.b];
    if (!a.alive || !b.alive || a.version + b.version != next.versions) continue;
    if (!link_condition(next.a, next.b)) continue;
    const Point3d position = place(a, b).position;
    if (!keeps_faces_upright(next.a, next.b, position)) continue;
    if (!keeps_faces_upright(next.b, next.a, position)) continue;
    collapse(next.a, next.b, position);
  }
}

Mesh EdgeCollapser::result() const {
  Mesh mesh;
  std::vector<std::uint32_t> number(vertices_.size());
  const auto to_float = [](Point3d p) { return Vec3{float(p.x), float(p.y), float(p.z)}; };
  for (std::size_t v = 0; v < vertices_.size(); ++v) {
    if (!vertices_[v].alive) continue;
    number[v] = static_cast<std::uint32_t>(mesh.positions.size());
    mesh.positions.push_back(to_float(vertices_[v].position));
    if (coloured_) mesh.colours.push_back(to_float(vertices_[v].colour));
  }
  for (std::size_t f = 0; f < faces_.size(); ++f) {
    if (face_alive_[f])
      mesh.triangles.push_back({number[faces_[f][0]], number[faces_[f][1]], number[faces_[f][2]]});
  }
  return mesh;
}

}  // namespace

Mesh collapse_edges(const Mesh& mesh, std::size_t target_triangles) {
  EdgeCollapser collapser(mesh);
  collapser.run(target_triangles);
  return collapser.result();
}

}  // namespace omni::geometry
