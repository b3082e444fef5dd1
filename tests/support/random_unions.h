#pragma once

#include <array>

#include "omni/core/random.h"
#include "omni/data/object_source.h"
#include "omni/geometry/iso_surface.h"

namespace omni::testing_support {

// Objects that need no data set: unions of three random primitives, each with its colour.

class UnionField : public geometry::SolidField {
 public:
  explicit UnionField(CounterRng rng) {
    for (auto& part : parts_) {
      part.box = rng.chance(0.5);
      for (std::size_t axis = 0; axis < 3; ++axis) {
        part.centre[axis] = static_cast<float>(rng.uniform(-0.45, 0.45));
        part.half[axis] = static_cast<float>(rng.uniform(0.2, 0.5));
        part.colour[axis] = rng.chance(0.5) ? 0.9f : 0.1f;
      }
    }
  }
  // Signed distance of the nearest part, positive inside.
  float value(geometry::Vec3 p) const { return best(p).first; }
  void occupancy(std::span<const geometry::Vec3> points, std::span<std::uint8_t> inside) const override {
    for (std::size_t i = 0; i < points.size(); ++i) inside[i] = value(points[i]) > 0;
  }
  void colour(std::span<const geometry::Vec3> points, std::span<geometry::Vec3> colours) const override {
    for (std::size_t i = 0; i < points.size(); ++i) colours[i] = parts_[best(points[i]).second].colour;
  }

 private:
  struct Part {
    bool box = false;
    geometry::Vec3 centre, half, colour;
    float value(geometry::Vec3 p) const {
      const geometry::Vec3 d = p - centre;
      if (!box) return half.x - geometry::length(d);
      const geometry::Vec3 q = geometry::abs(d) - half;
      return -std::max({q.x, q.y, q.z});
    }
  };
  std::pair<float, std::size_t> best(geometry::Vec3 p) const {
    std::pair<float, std::size_t> found{-1e9f, 0};
    for (std::size_t i = 0; i < parts_.size(); ++i)
      if (const float v = parts_[i].value(p); v > found.first) found = {v, i};
    return found;
  }
  std::array<Part, 3> parts_;
};

class RandomUnions : public data::ObjectSource {
 public:
  RandomUnions(std::uint64_t seed, std::int64_t count) : seed_(seed), count_(count) {}
  std::int64_t size() const override { return count_; }
  std::uint64_t fingerprint() const override {
    return hash_combine(seed_, static_cast<std::uint64_t>(count_));
  }
  data::ObjectRecord load(std::int64_t index) const override {
    data::ObjectRecord record;
    record.id = "union-" + std::to_string(index);
    auto field = std::make_unique<UnionField>(CounterRng(seed_, static_cast<std::uint64_t>(index)));
    record.mesh = geometry::extract_iso_surface(
                      [&](std::span<const geometry::Vec3> points, std::span<float> values) {
                        for (std::size_t i = 0; i < points.size(); ++i) values[i] = field->value(points[i]);
                      },
                      {.resolution = 24, .half_extent = 1.0f})
                      .mesh;
    record.mesh.colours.resize(record.mesh.positions.size());
    field->colour(record.mesh.positions, record.mesh.colours);
    record.field = std::move(field);
    return record;
  }

 private:
  std::uint64_t seed_;
  std::int64_t count_;
};

}  // namespace omni::testing_support
