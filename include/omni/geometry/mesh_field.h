#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "omni/core/number.h"
#include "omni/geometry/mesh.h"
#include "omni/geometry/solid_field.h"

namespace omni::geometry {

enum class LabelMode { automatic, winding, flood };
std::string_view label_mode_name(LabelMode mode);   // "auto", "winding", "flood"
std::vector<std::string> label_mode_names();        // of all of them
LabelMode parse_label_mode(std::string_view name);  // throws Error(usage)

// Of MeshFieldOptions::epsilon.
inline constexpr NumberRange kEpsilons{.minimum = 0.001, .maximum = 0.5};

struct MeshFieldOptions {
  LabelMode mode = LabelMode::automatic;
  // In the normalised frame: sheets become 2 epsilon thick; two cells of the label grid.
  float epsilon = 2.0f * 2.1f / 64;

  friend bool operator==(const MeshFieldOptions&, const MeshFieldOptions&) = default;
};

// Of the surface point nearest to a query.
struct ClosestPoint {
  Vec3 position;
  float distance = 0;          // to the query, unsigned
  std::uint32_t triangle = 0;  // index into the mesh's triangles
  Vec3 weights;                // barycentric, of the triangle's vertices in order
};

// Inside and outside of a mesh that need not be closed. A point is inside where
//  - winding: the generalised winding number exceeds 0.5 (Jacobson et al., SIGGRAPH 2013; hierarchical as in
//    Barill et al., "Fast winding numbers for soups and clouds", SIGGRAPH 2018), for meshes whose faces agree
//    on their outside;
//  - flood: it cannot be reached from far away without coming nearer than epsilon to the surface, for meshes
//    whose faces do not agree (duplicated, flipped). Within epsilon of the surface the side of the nearest
//    face decides.
// Where the surface is a sheet with the outside on both of its sides, points nearer than epsilon are inside
// too; no such thickening happens on closed, consistently oriented meshes. A mesh that is inside out as a
// whole is turned. Copies what it needs from the mesh. Throws Error(input) for a mesh without a triangle of
// positive area, with coordinates that are not finite or with indices out of range.
class MeshField : public SolidField {
 public:
  explicit MeshField(const Mesh& mesh, MeshFieldOptions options = {});
  ~MeshField() override;
  void occupancy(std::span<const Vec3> points, std::span<std::uint8_t> inside) const override;
  // sRGB, interpolated in linear RGB at the nearest surface point; grey (0.7) for a mesh without colours.
  void colour(std::span<const Vec3> points, std::span<Vec3> colours) const override;
  void distance(std::span<const Vec3> points, std::span<float> distances) const;  // unsigned
  // Positive inside, to the surface of the solid that occupancy() describes (a thickened sheet's included).
  void signed_distance(std::span<const Vec3> points, std::span<float> distances) const;
  void closest(std::span<const Vec3> points, std::span<ClosestPoint> closest) const;
  // The generalised winding number, hierarchical, to about 0.01.
  void winding_number(std::span<const Vec3> points, std::span<float> winding) const;

  LabelMode chosen_mode() const;  // winding or flood
  bool thickens_sheets() const;
  float epsilon() const;  // as used: flooding coarsens it where its lattice would be too large
  // Share (0 .. 1) of the edges between faces that agree on their outside, times the share of the area that
  // no coincident opposite face cancels. Automatic mode takes winding from 0.95 on.
  double orientation_consistency() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace omni::geometry
