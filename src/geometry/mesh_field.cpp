#include "omni/geometry/mesh_field.h"

#include <optional>

#include "closest_point.h"
#include "flood_grid.h"
#include "linear_colour.h"
#include "omni/core/error.h"
#include "omni/core/random.h"
#include "omni/image/image.h"
#include "orientation.h"
#include "winding_tree.h"

namespace omni::geometry {
namespace {

constexpr double kReliableOrientation = 0.95;
constexpr Vec3 kGrey{0.7f, 0.7f, 0.7f};

const Mesh& checked(const Mesh& mesh) {
  for (const Vec3& p : mesh.positions) {
    if (!std::isfinite(p.x) || !std::isfinite(p.y) || !std::isfinite(p.z)) {
      fail(ErrorKind::input, "labelling a mesh: it has a vertex that is not finite. Repair the mesh");
    }
  }
  for (const auto& t : mesh.triangles) {
    if (std::max({t[0], t[1], t[2]}) >= mesh.positions.size()) {
      fail(ErrorKind::input,
           "labelling a mesh: a triangle names a vertex that does not exist. Repair the mesh");
    }
  }
  if (!(mesh.surface_area() > 0))
    fail(ErrorKind::input, "labelling a mesh: it has no surface. Check its faces");
  return mesh;
}

Bounds used_bounds(const Mesh& mesh) {
  Bounds bounds;
  for (const auto& t : mesh.triangles) {
    for (const auto vertex : t) bounds.include(mesh.positions[vertex]);
  }
  return bounds;
}

Vec3 to_srgb(Vec3 c) {
  return {image::linear_to_srgb(c.x), image::linear_to_srgb(c.y), image::linear_to_srgb(c.z)};
}

// What winding numbers look like at random points off the surface.
struct WindingProfile {
  double near_integer = 1;  // share within 0.2 of an integer
  double inside = 0;        // share above 0.5
  double inside_out = 0;    // share below -0.8: a sheet alone gives about -0.5 in front of it
};

}  // namespace

struct MeshField::State {
  explicit State(const Mesh& mesh)
      : surface(mesh),
        winding(mesh),
        bounds(used_bounds(mesh)),
        positions(mesh.positions),
        triangles(mesh.triangles),
        colours(mesh.colours) {
    linear_colours.reserve(colours.size());
    for (const Vec3& c : colours) linear_colours.push_back(to_linear(c));
  }

  WindingProfile profile(float epsilon) const;
  void choose(const Mesh& mesh, const MeshFieldOptions& options);
  bool inside(Vec3 point) const;
  float signed_distance(Vec3 point) const;
  bool inside_by_winding(Vec3 point) const { return sign * winding.winding_number(point) > 0.5f; }
  bool bounds_solid(const ClosestPoint& nearest) const;
  bool outside_in_front(Vec3 point) const;

  ClosestPointTree surface;
  WindingTree winding;
  Bounds bounds;
  std::vector<Vec3> positions;
  std::vector<std::array<std::uint32_t, 3>> triangles;
  std::vector<Vec3> colours, linear_colours;
  std::optional<FloodGrid> flood;
  float epsilon = 0;
  float sign = 1;  // -1 where the whole mesh is inside out
  bool thickens = false;
  double consistency = 0;
};

WindingProfile MeshField::State::profile(float epsilon) const {
  constexpr int kSamples = 512;
  CounterRng rng(0x6d657368);
  WindingProfile result;
  int used = 0, integer = 0, in = 0, out = 0;
  for (int i = 0; i < kSamples; ++i) {
    Vec3 p;
    for (std::size_t axis = 0; axis < 3; ++axis) {
      p[axis] = float(rng.uniform(bounds.low[axis], std::nextafter(bounds.high[axis], INFINITY)));
    }
    if (surface.any_within(p, 0.25f * epsilon)) continue;
    const float w = winding.winding_number(p);
    ++used;
    integer += std::abs(w - std::round(w)) < 0.2f;
    in += w > 0.5f;
    out += w < -0.8f;
  }
  if (used == 0) return result;
  return {double(integer) / used, double(in) / used, double(out) / used};
}

void MeshField::State::choose(const Mesh& mesh, const MeshFieldOptions& options) {
  const OrientationConsistency orientation = measure_orientation(mesh, Topology(mesh));
  const WindingProfile sampled = profile(options.epsilon);
  consistency = orientation.score();
  epsilon = options.epsilon;
  if (sampled.inside == 0 && mesh.signed_volume() < 0 && (sampled.inside_out > 0 || orientation.closed))
    sign = -1;
  const bool parts_inside_out = sign > 0 && sampled.inside_out > std::max(0.01, 0.05 * sampled.inside);
  const bool reliable = consistency >= kReliableOrientation && !parts_inside_out;
  if (options.mode == LabelMode::flood || (options.mode == LabelMode::automatic && !reliable)) {
    flood.emplace(surface, bounds, options.epsilon);
    epsilon = flood->epsilon();
    thickens = true;
    return;
  }
  thickens = !(orientation.closed && consistency > 0.999 && sampled.near_integer > 0.95);
}

// Whether the surface at `nearest` bounds a solid, rather than having the outside on both of its sides.
// Across a solid's boundary the winding number steps from 0 to 1; across a sheet it steps by 1 too, but
// around 0, so that three quarters are not reached. Looked at a little within the face, since a sharp edge
// has no clear inside of its own.
bool MeshField::State::bounds_solid(const ClosestPoint& nearest) const {
  const auto& t = triangles[nearest.triangle];
  const Vec3 a = positions[t[0]], b = positions[t[1]], c = positions[t[2]];
  const Vec3 normal = normalised(cross(b - a, c - a));
  const Vec3 to_centre = (a + b + c) / 3.0f - nearest.position;
  const float reach = length(to_centre);
  const Vec3 foot =
      nearest.position + to_centre * (reach > 0 ? std::min(0.5f, 0.3f * epsilon / reach) : 0.0f);
  if (flood) return !flood->reached(foot + normal * epsilon) || !flood->reached(foot - normal * epsilon);
  for (const float depth : {0.02f, 0.1f, 0.5f}) {
    for (const float side : {-1.0f, 1.0f}) {
      if (sign * winding.winding_number(foot + normal * (side * depth * epsilon)) > 0.75f) return true;
    }
  }
  return false;
}

// Walks away from the surface, a few steps so that concave corners are left too.
bool MeshField::State::outside_in_front(Vec3 point) const {
  for (int step = 0; step < 4; ++step) {
    if (flood->reached(point)) return true;
    const ClosestPoint nearest = surface.closest(point);
    if (nearest.distance >= epsilon || nearest.distance <= 1e-6f * epsilon) return false;
    point = nearest.position + (point - nearest.position) * (1.001f * epsilon / nearest.distance);
  }
  return flood->reached(point);
}

bool MeshField::State::inside(Vec3 point) const {
  if (!flood) {
    if (inside_by_winding(point)) return true;
    if (!thickens || !surface.any_within(point, epsilon)) return false;
    return !bounds_solid(surface.closest(point));
  }
  const ClosestPoint nearest = surface.closest(point);
  if (nearest.distance >= epsilon) return !flood->reached(point);
  return !outside_in_front(point) || !bounds_solid(nearest);
}

float MeshField::State::signed_distance(Vec3 point) const {
  const ClosestPoint nearest = surface.closest(point);
  if (!flood && inside_by_winding(point)) return nearest.distance;
  if (!thickens) return -nearest.distance;
  if (flood && nearest.distance >= epsilon && !flood->reached(point)) return nearest.distance;
  if (flood && nearest.distance < epsilon && !outside_in_front(point)) return nearest.distance;
  return bounds_solid(nearest) ? -nearest.distance : epsilon - nearest.distance;
}

MeshField::MeshField(const Mesh& mesh, MeshFieldOptions options) {
  if (!(options.epsilon > 0) || !std::isfinite(options.epsilon)) {
    fail(ErrorKind::usage, "labelling a mesh: epsilon ", options.epsilon, " is not positive");
  }
  state_ = std::make_unique<State>(checked(mesh));
  state_->choose(mesh, options);
}

MeshField::~MeshField() = default;

void MeshField::occupancy(std::span<const Vec3> points, std::span<std::uint8_t> inside) const {
  for (std::size_t i = 0; i < points.size(); ++i) inside[i] = state_->inside(points[i]) ? 1 : 0;
}

void MeshField::colour(std::span<const Vec3> points, std::span<Vec3> colours) const {
  for (std::size_t i = 0; i < points.size(); ++i) {
    colours[i] = kGrey;
    if (state_->colours.empty()) continue;
    const ClosestPoint nearest = state_->surface.closest(points[i]);
    const auto& t = state_->triangles[nearest.triangle];
    const auto& srgb = state_->colours;
    const auto& linear = state_->linear_colours;
    if (srgb[t[0]] == srgb[t[1]] && srgb[t[1]] == srgb[t[2]]) {
      colours[i] = srgb[t[0]];
    } else {
      colours[i] = to_srgb(linear[t[0]] * nearest.weights.x + linear[t[1]] * nearest.weights.y +
                           linear[t[2]] * nearest.weights.z);
    }
  }
}

void MeshField::distance(std::span<const Vec3> points, std::span<float> distances) const {
  for (std::size_t i = 0; i < points.size(); ++i) distances[i] = state_->surface.closest(points[i]).distance;
}

void MeshField::signed_distance(std::span<const Vec3> points, std::span<float> distances) const {
  for (std::size_t i = 0; i < points.size(); ++i) distances[i] = state_->signed_distance(points[i]);
}

void MeshField::closest(std::span<const Vec3> points, std::span<ClosestPoint> closest) const {
  for (std::size_t i = 0; i < points.size(); ++i) closest[i] = state_->surface.closest(points[i]);
}

void MeshField::winding_number(std::span<const Vec3> points, std::span<float> winding) const {
  for (std::size_t i = 0; i < points.size(); ++i) winding[i] = state_->winding.winding_number(points[i]);
}

LabelMode MeshField::chosen_mode() const { return state_->flood ? LabelMode::flood : LabelMode::winding; }
float MeshField::epsilon() const { return state_->epsilon; }
bool MeshField::thickens_sheets() const { return state_->thickens; }
double MeshField::orientation_consistency() const { return state_->consistency; }

}  // namespace omni::geometry
