#pragma once

#include <vector>

#include "omni/geometry/solid_field.h"
#include "primitive.h"

namespace omni::data {

// A union of coloured primitives: occupancy is exact; the colour at a point is that of the primitive with the
// smallest signed distance, which at the visible surface is the primitive that shows there.
class PrimitiveSolid : public geometry::SolidField {
 public:
  // part_colours[p.part] is the colour of p; sRGB, 0 .. 1.
  PrimitiveSolid(std::vector<Primitive> primitives, std::vector<geometry::Vec3> part_colours);

  void occupancy(std::span<const geometry::Vec3> points, std::span<std::uint8_t> inside) const override;
  void colour(std::span<const geometry::Vec3> points, std::span<geometry::Vec3> colours) const override;

  const std::vector<Primitive>& primitives() const { return primitives_; }
  // The index into part_colours at a point.
  int part_at(geometry::Vec3 point) const;

 private:
  std::vector<Primitive> primitives_;
  std::vector<geometry::Bounds> bounds_;
  std::vector<geometry::Vec3> part_colours_;
};

}  // namespace omni::data
