#include "object_class.h"

namespace omni::data {
namespace {

ObjectClass mug() {
  return {.name = "mug",
          .metres_per_unit = 0.1,
          .attributes = {bins::height(),
                         {"body", {"straight", "tapered", "bulging"}},
                         bins::size("handle"),
                         bins::form("handle"),
                         {"side", {"left", "right"}}},
          .parts = {{"mug", {}}, {"handle", {}}},
          .adjectives = {"{height}", "{body}"},
          .noun = "mug",
          .features = {"a {handle size} {handle form} {1} handle on the {side}"},
          .held_out_attributes = {{"height", "mid-height"}},
          .build = [](const Bins& b, SolidBuilder& s) {
            const float h = b.pick(0, {0.8f, 1.15f, 1.6f}), hole = b.pick(2, {0.2f, 0.32f});
            const float r = 0.5f, side = b[4] == 0 ? -1.0f : 1.0f;
            const float floor = h * 0.55f;
            if (b[1] == 0) s.block_between(Section::round, 0, floor, r, r, 0);
            if (b[1] == 1) s.taper_between(Section::round, 0, floor, r * 0.55f, r * 0.55f, 1 / 0.55f, 0);
            if (b[1] == 2) s.ellipsoid({0, floor / 2, 0}, {r * 1.35f, floor * 0.62f, r * 1.35f}, 0);
            s.tube({0, (floor + h) / 2, 0}, r, r - 0.15f, (h - floor) / 2, 0);
            const geometry::Vec3 c{side * (r + hole * 0.9f), h * 0.52f, 0};
            if (b[3] == 0) {
              s.torus(c, hole, 0.1f, 1, Axis::z);
              return;
            }
            for (const float v : {-1.0f, 1.0f})
              s.box(c + geometry::Vec3{-side * 0.1f, v * hole, 0}, {hole + 0.1f, 0.1f, 0.1f}, 1);
            s.box(c + geometry::Vec3{side * hole, 0, 0}, {0.1f, hole + 0.1f, 0.1f}, 1);
          }};
}

ObjectClass bottle() {
  return {.name = "bottle",
          .metres_per_unit = 0.15,
          .attributes = {bins::height(), bins::form("body"), bins::width(), bins::level("neck"),
                         bins::size("cap")},
          .parts = {{"bottle", {}}, {"cap", {}}},
          .adjectives = {"{height}", "{body form}"},
          .noun = "bottle",
          .features = {"a {neck height} {width} neck", "a {cap size} {1} cap"},
          .held_out_attributes = {{"height", "tall"}},
          .build = [](const Bins& b, SolidBuilder& s) {
            const float h = b.pick(0, {0.5f, 0.85f, 1.25f}), neck = b.pick(2, {0.13f, 0.26f});
            const float rise = b.pick(3, {0.12f, 0.42f}), cap = b.pick(4, {0.18f, 0.36f}), r = 0.42f;
            s.block_between(b.section(1), 0, h, r, r, 0);
            s.taper_between(b.section(1), h, h + 0.22f, r, r, neck / r, 0);
            s.block_between(Section::round, h + 0.2f, h + 0.25f + rise, neck, neck, 0);
            s.block_between(Section::round, h + 0.22f + rise, h + 0.27f + rise + cap, neck + 0.1f,
                            neck + 0.1f, 1);
          }};
}

ObjectClass vase() {
  return {
      .name = "vase",
      .metres_per_unit = 0.25,
      .attributes = {bins::height(),
                     {"body", {"straight", "tapered", "bulging"}},
                     bins::width(),
                     bins::level("neck"),
                     bins::size("foot")},
      .parts = {{"vase", {}}, {"foot", {}}},
      .adjectives = {"{height}", "{body}"},
      .noun = "vase",
      .features = {"a {neck height} {width} neck", "a {foot size} {1} foot"},
      .held_out_attributes = {{"height", "short"}},
      .build = [](const Bins& b, SolidBuilder& s) {
        const float h = b.pick(0, {0.5f, 0.85f, 1.25f}), mouth = b.pick(2, {0.3f, 0.52f});
        const float rise = b.pick(3, {0.25f, 0.55f}), foot = b.pick(4, {0.3f, 0.6f}), r = 0.46f, low = 0.2f;
        s.cylinder({0, low / 2, 0}, foot, low / 2, 1);
        if (b[1] == 0) s.block_between(Section::round, low, low + h, r * 0.8f, r * 0.8f, 0);
        if (b[1] == 1) s.taper_between(Section::round, low, low + h, r * 0.45f, r * 0.45f, 2.2f, 0);
        if (b[1] == 2) s.ellipsoid({0, low + h / 2, 0}, {r * 1.4f, h * 0.56f, r * 1.4f}, 0);
        s.tube({0, low + h + rise / 2, 0}, mouth, mouth - 0.16f, rise / 2, 0);
      }};
}

ObjectClass cake() {
  return {.name = "cake",
          .metres_per_unit = 0.2,
          .attributes = {{"tiers", {"two", "three", "four"}},
                         bins::form("tiers"),
                         {"height", {"short", "tall"}},
                         bins::width(),
                         {"topping", {"cherry", "candle"}}},
          .parts = {{"cake", {}}, {"topping", {}}},
          .adjectives = {"{height}", "{width}"},
          .noun = "cake",
          .features = {"{tiers} {tiers form} tiers", "a {1} {topping}"},
          .held_out_counts = {{"tiers", "four"}},
          .build = [](const Bins& b, SolidBuilder& s) {
            const int count = b[0] + 2;
            const float h = b.pick(2, {0.24f, 0.4f}), r = b.pick(3, {0.6f, 0.82f});
            float y = 0;
            for (int i = 0; i < count; ++i) {
              const float w = r * (1 - 0.68f * static_cast<float>(i) / static_cast<float>(count - 1) *
                                           (count == 2 ? 0.65f : 1.0f));
              s.block_between(b.section(1), y, y + h, w, w, 0);
              y += h;
            }
            if (b[4] == 0)
              s.ball({0, y + 0.12f, 0}, 0.19f, 1);
            else
              s.cylinder({0, y + 0.2f, 0}, 0.11f, 0.22f, 1);
          }};
}

}  // namespace

std::vector<ObjectClass> tableware_classes() { return {mug(), bottle(), vase(), cake()}; }

}  // namespace omni::data
