#include "object_class.h"

// Two solids in a spatial relation. The first solid names the class, so that a relation can be held out for
// it.
namespace omni::data {
namespace {

enum Solid { kBall, kCube, kCylinder, kCone };

void add_solid(SolidBuilder& s, Solid solid, geometry::Vec3 base, float r, int part) {
  const geometry::Vec3 c = base + geometry::Vec3{0, r, 0};
  if (solid == kBall) s.ball(c, r, part);
  if (solid == kCube) s.box(c, {r * 0.9f, r, r * 0.9f}, part);
  if (solid == kCylinder) s.cylinder(c, r * 0.9f, r, part);
  if (solid == kCone) s.taper(Section::round, c, {r, r, r}, 0, part);
}

ObjectClass pair_of(const std::string& name, Solid first, std::vector<AttributeValue> attributes,
                    std::vector<AttributeValue> relations) {
  return {.name = name + " pair",
          .metres_per_unit = 0.2,
          .attributes = {{"relation", {"on top of", "beside", "in front of"}},
                         {"other", {"ball", "cube", "cylinder", "cone"}},
                         {"size", {"small", "medium", "large"}}},
          .parts = {{name, {}}, {"other", {}}},
          .complete_patterns = {"a {size} {0} " + name + " {relation} a {1} {other}",
                                "there is a {size} {0} " + name + " {relation} a {1} {other}",
                                "a {1} {other} and, {relation} it, a {size} {0} " + name,
                                "one {1} {other} with a {0} " + name + " that is {size} and {relation} it"},
          .partial_patterns = {"a {0} " + name + " {relation} a {1} {other}",
                               "a {size} " + name + " {relation} a {other}",
                               "a {0} " + name + " and a {1} {other}"},
          .held_out_attributes = std::move(attributes),
          .held_out_counts = std::move(relations),
          .build = [first](const Bins& b, SolidBuilder& s) {
            const float r = b.pick(2, {0.3f, 0.48f, 0.72f}), other = 0.5f;
            const Solid second = static_cast<Solid>(b[1]);
            add_solid(s, second, {0, 0, 0}, other, 1);
            if (b[0] == 0) {
              // Rounded and pointed tops carry the upper solid a little lower, for a firm seat.
              const float sink = second == kBall ? 0.06f : second == kCone ? 0.3f : 0.0f;
              const float upper_sink = first == kBall ? 0.05f * r : 0.0f;
              add_solid(s, first, {0, 2 * other - sink - upper_sink, 0}, r, 0);
            }
            const float apart = (other + r) * 0.97f;
            if (b[0] == 1) add_solid(s, first, {apart, 0, 0}, r, 0);
            if (b[0] == 2) add_solid(s, first, {0, 0, apart}, r, 0);
          }};
}

}  // namespace

std::vector<ObjectClass> relation_classes() {
  return {pair_of("ball", kBall, {}, {{"relation", "in front of"}}),
          pair_of("cube", kCube, {}, {{"relation", "beside"}}),
          pair_of("cylinder", kCylinder, {{"other", "cone"}}, {}),
          pair_of("cone", kCone, {{"size", "large"}}, {})};
}

}  // namespace omni::data
