#include "object_class.h"

// Basic solids, each with a base, ends or bands in a second colour.
namespace omni::data {
namespace {

ObjectClass box() {
  return {
      .name = "box",
      .metres_per_unit = 0.3,
      .attributes = {bins::height(),
                     bins::width3(),
                     {"depth", {"shallow", "deep"}},
                     bins::thickness("base"),
                     bins::size("base")},
      .parts = {{"box", {}}, {"base", {}}},
      .adjectives = {"{height}", "{width}", "{depth}"},
      .noun = "box",
      .features = {"a {base size} {base thickness} {1} base"},
      .held_out_attributes = {{"width", "mid-width"}},
      .build = [](const Bins& b, SolidBuilder& s) {
        const float h = b.pick(0, {0.45f, 0.9f, 1.5f}), w = b.pick(1, {0.3f, 0.5f, 0.75f});
        const float d = b.pick(2, {0.3f, 0.5f}), t = b.pick(3, {0.17f, 0.42f}), k = b.pick(4, {0.72f, 1.3f});
        s.block_between(Section::square, 0, t, w * k, d * k, 1);
        s.block_between(Section::square, t, t + h, w, d, 0);
      }};
}

ObjectClass ball() {
  return {.name = "ball",
          .metres_per_unit = 0.2,
          .attributes = {bins::height(), bins::thickness("belt"), bins::form("base"), bins::level("base"),
                         bins::width()},
          .parts = {{"ball", {}}, {"base", {}}},
          .adjectives = {"{height}"},
          .noun = "ball",
          .features = {"a {belt thickness} belt", "a {base height} {width} {base form} {1} base"},
          .held_out_attributes = {{"height", "mid-height"}},
          .build = [](const Bins& b, SolidBuilder& s) {
            const float half = b.pick(0, {0.42f, 0.65f, 0.92f}), belt = b.pick(1, {0.1f, 0.24f});
            const float base = b.pick(3, {0.26f, 0.52f}), w = b.pick(4, {0.42f, 0.76f});
            s.block_between(b.section(2), 0, base, w, w, 1);
            const float y = base + half - 0.08f;
            s.ellipsoid({0, y, 0}, {0.65f, half, 0.65f}, 0);
            s.cylinder({0, y, 0}, 0.74f, belt, 1);
          }};
}

ObjectClass cylinder() {
  return {.name = "cylinder",
          .metres_per_unit = 0.25,
          .attributes = {bins::length(),
                         {"direction", {"upright", "lying"}},
                         {"core", {"solid", "hollow"}},
                         bins::thickness("ends"),
                         bins::width()},
          .parts = {{"cylinder", {}}, {"ends", {}}},
          .adjectives = {"{length}", "{direction}", "{core}"},
          .noun = "cylinder",
          .features = {"{width} {ends thickness} {1} ends"},
          .held_out_attributes = {{"length", "long"}},
          .build = [](const Bins& b, SolidBuilder& s) {
            const float half = b.pick(0, {0.35f, 0.55f, 0.82f}), t = b.pick(3, {0.09f, 0.2f});
            const float r = 0.5f, end = b.pick(4, {0.4f, 0.66f}), inner = 0.2f;
            const Axis axis = b[1] == 0 ? Axis::y : Axis::x;
            const bool hollow = b[2] == 1;
            const auto disc = [&](float along, float radius, float half_length, int part) {
              const geometry::Vec3 c =
                  axis == Axis::y ? geometry::Vec3{0, along, 0} : geometry::Vec3{along, 0, 0};
              if (hollow)
                s.tube(c, radius, inner, half_length, part, axis);
              else
                s.cylinder(c, radius, half_length, part, axis);
            };
            disc(0, r, half, 0);
            disc(-half - t, end, t, 1);
            disc(half + t, end, t, 1);
          }};
}

ObjectClass cone_like(std::string name, Section section, std::vector<AttributeValue> held_out) {
  return {.name = name,
          .metres_per_unit = 0.25,
          .attributes = {bins::height(),
                         {"tip", {"pointed", "blunt"}},
                         bins::form("base"),
                         bins::thickness("base"),
                         bins::size("base")},
          .parts = {{name, {}}, {"base", {}}},
          .adjectives = {"{height}", "{tip}"},
          .noun = name,
          .features = {"a {base size} {base thickness} {base form} {1} base"},
          .held_out_attributes = std::move(held_out),
          .build = [section](const Bins& b, SolidBuilder& s) {
            const float h = b.pick(0, {0.65f, 1.05f, 1.6f}), tip = b.pick(1, {0.0f, 0.5f});
            const float t = b.pick(3, {0.24f, 0.48f}), w = b.pick(4, {0.46f, 0.8f}), r = 0.6f;
            s.block_between(b.section(2), 0, t, w, w, 1);
            s.taper_between(section, t, t + h, r, r, tip, 0);
          }};
}

ObjectClass ring() {
  return {.name = "ring",
          .metres_per_unit = 0.2,
          .attributes = {bins::thickness("ring"),
                         {"direction", {"upright", "lying"}},
                         bins::form("ring"),
                         bins::level("base"),
                         bins::width(),
                         bins::size("ring")},
          .parts = {{"ring", {}}, {"base", {}}},
          .adjectives = {"{ring size}", "{ring thickness}", "{direction}", "{ring form}"},
          .noun = "ring",
          .features = {"a {base height} {width} {1} base"},
          .held_out_attributes = {{"base height", "high"}},
          .build = [](const Bins& b, SolidBuilder& s) {
            const float t = b.pick(0, {0.12f, 0.21f}), r = b.pick(5, {0.45f, 0.7f});
            const float base = b.pick(3, {0.18f, 0.5f}), w = b.pick(4, {0.3f, 0.6f});
            const bool upright = b[1] == 0;
            // A lying ring rests on a bar across it.
            s.block_between(Section::square, 0, base, upright ? w : r + t, upright ? 0.3f : w, 1);
            const geometry::Vec3 c{0, base + (upright ? r + t : t) - 0.04f, 0};
            if (b[2] == 0) {
              s.torus(c, r, t, 0, upright ? Axis::z : Axis::y);
              return;
            }
            const auto bar = [&](float u, float v, float half_u, float half_v) {
              if (upright)
                s.box(c + geometry::Vec3{u, v, 0}, {half_u, half_v, t}, 0);
              else
                s.box(c + geometry::Vec3{u, 0, v}, {half_u, t, half_v}, 0);
            };
            bar(-r, 0, t, r + t);
            bar(r, 0, t, r + t);
            bar(0, -r, r, t);
            bar(0, r, r, t);
          }};
}

ObjectClass capsule() {
  return {.name = "capsule",
          .metres_per_unit = 0.15,
          .attributes = {bins::length(),
                         {"direction", {"upright", "lying"}},
                         {"bands", {"two", "three", "four"}},
                         bins::size("bands")},
          .parts = {{"capsule", {}}, {"bands", {}}},
          .adjectives = {"{length}", "{direction}"},
          .noun = "capsule",
          .features = {"{bands} {bands size} {1} bands"},
          .held_out_counts = {{"bands", "three"}},
          .build = [](const Bins& b, SolidBuilder& s) {
            const float half = b.pick(0, {0.75f, 1.0f, 1.3f}), band = b.pick(2, {0.14f, 0.11f, 0.1f});
            const float reach = b.pick(3, {0.56f, 0.76f}), r = 0.45f;
            const Axis axis = b[1] == 0 ? Axis::y : Axis::x;
            s.capsule({0, 0, 0}, r, half, 0, axis);
            const int count = b[2] + 2;
            for (int i = 0; i < count; ++i) {
              const float along =
                  (2.0f * static_cast<float>(i) / static_cast<float>(count - 1) - 1) * (half - 0.25f);
              const geometry::Vec3 c =
                  axis == Axis::y ? geometry::Vec3{0, along, 0} : geometry::Vec3{along, 0, 0};
              s.cylinder(c, reach, band, 1, axis);
            }
          }};
}

}  // namespace

std::vector<ObjectClass> primitive_classes() {
  return {box(),
          ball(),
          cylinder(),
          cone_like("cone", Section::round, {{"height", "tall"}}),
          cone_like("pyramid", Section::square, {{"height", "short"}}),
          ring(),
          capsule()};
}

}  // namespace omni::data
