#pragma once

#include <vector>

#include "omni/geometry/solid_field.h"

namespace omni::training {

// A field that has been scaled along each axis, then moved. Refers to `field`, which must outlive it.
class PlacedField : public geometry::SolidField {
 public:
  PlacedField(const geometry::SolidField& field, geometry::Vec3 scale, geometry::Vec3 offset)
      : field_(field), scale_(scale), offset_(offset) {}
  void occupancy(std::span<const geometry::Vec3> points, std::span<std::uint8_t> inside) const override {
    field_.occupancy(original(points), inside);
  }
  void colour(std::span<const geometry::Vec3> points, std::span<geometry::Vec3> colours) const override {
    field_.colour(original(points), colours);
  }
  geometry::Vec3 scale() const { return scale_; }

 private:
  std::vector<geometry::Vec3> original(std::span<const geometry::Vec3> points) const {
    std::vector<geometry::Vec3> out;
    out.reserve(points.size());
    for (const geometry::Vec3 point : points) {
      const geometry::Vec3 p = point - offset_;
      out.push_back({p.x / scale_.x, p.y / scale_.y, p.z / scale_.z});
    }
    return out;
  }
  const geometry::SolidField& field_;
  geometry::Vec3 scale_, offset_;
};

}  // namespace omni::training
