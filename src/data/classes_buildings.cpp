#include "object_class.h"
#include "omni/data/palette.h"

namespace omni::data {
namespace {

ObjectClass house() {
  return {.name = "house",
          .metres_per_unit = 5,
          .attributes = {bins::height(),
                         bins::width(),
                         {"roof form", {"flat", "pointed", "round"}},
                         bins::size("chimney"),
                         {"side", {"left", "right"}}},
          .parts = {{"walls", {}},
                    {"roof", {}},
                    {"door",
                     {palette_index("brown"), palette_index("white"), palette_index("black"),
                      palette_index("yellow")}}},
          .adjectives = {"{height}", "{width}"},
          .noun = "house",
          .features = {"a {roof form} {1} roof", "a {chimney size} chimney on the {side}", "a {2} door"},
          .held_out_attributes = {{"roof form", "round"}},
          .build = [](const Bins& b, SolidBuilder& s) {
            const float h = b.pick(0, {0.45f, 0.85f, 1.35f}), w = b.pick(1, {0.45f, 0.8f}), d = 0.5f;
            const float side = b[4] == 0 ? -1.0f : 1.0f;
            s.box({0, h / 2, 0}, {w, h / 2, d}, 0);
            if (b[2] == 0) s.box({0, h + 0.1f, 0}, {w + 0.14f, 0.1f, d + 0.14f}, 1);
            if (b[2] == 1) s.wedge({0, h + 0.3f, 0}, {w + 0.16f, 0.3f, d + 0.1f}, 0, 1);
            if (b[2] == 2) {
              // A flattened log that rests on the walls.
              s.cylinder({0, h + 0.28f, 0}, w + 0.14f, d + 0.1f, 1, Axis::z).half.z = 0.32f;
            }
            const float r = b.pick(3, {0.14f, 0.22f}), top = b.pick(3, {0.78f, 1.02f});
            s.box({side * w * 0.62f, h + top / 2, -0.1f}, {r, top / 2, r}, 1);
            s.box({0, 0.17f, d}, {0.15f, 0.17f, 0.1f}, 2);
          }};
}

ObjectClass tower() {
  return {.name = "tower",
          .metres_per_unit = 6,
          .attributes = {{"blocks", {"two", "three", "four"}},
                         bins::form("blocks"),
                         bins::height(),
                         {"profile", {"straight", "tapered"}},
                         {"top", {"flat", "pointed"}}},
          .parts = {{"blocks", {}}, {"top", {}}},
          .adjectives = {"{height}", "{profile}"},
          .noun = "tower",
          .features = {"{blocks} {blocks form} blocks", "a {top} {1} top"},
          .held_out_counts = {{"blocks", "three"}},
          .build = [](const Bins& b, SolidBuilder& s) {
            const int count = b[0] + 2;
            const float h = b.pick(2, {0.26f, 0.38f, 0.52f}), gap = 0.24f, r = 0.55f;
            float y = 0, w = r;
            for (int i = 0; i < count; ++i) {
              w = r *
                  (b[3] == 0 ? 1.0f : 1.15f - 0.6f * static_cast<float>(i) / static_cast<float>(count - 1));
              s.block_between(b.section(1), y, y + h, w, w, 0);
              y += h;
              if (i + 1 < count)
                s.block_between(b.section(1), y - 0.02f, y + gap + 0.02f, w * 0.55f, w * 0.55f, 0);
              y += gap;
            }
            y -= gap;
            if (b[4] == 0)
              s.block_between(b.section(1), y, y + 0.24f, w + 0.14f, w + 0.14f, 1);
            else
              s.taper_between(b.section(1), y, y + 0.6f, w + 0.06f, w + 0.06f, 0, 1);
          }};
}

ObjectClass arch() {
  return {.name = "arch",
          .metres_per_unit = 2,
          .attributes = {bins::height(),
                         bins::width(),
                         bins::thickness("pillars"),
                         bins::form("pillars"),
                         {"top", {"flat", "pointed", "curved"}}},
          .parts = {{"pillars", {}}, {"top", {}}},
          .adjectives = {"{height}", "{width}"},
          .noun = "arch",
          .features = {"{pillars thickness} {pillars form} pillars", "a {top} {1} top"},
          .held_out_attributes = {{"top", "pointed"}},
          .build = [](const Bins& b, SolidBuilder& s) {
            const float h = b.pick(0, {0.6f, 0.9f, 1.3f}), w = b.pick(1, {0.46f, 0.72f});
            const float t = b.pick(2, {0.15f, 0.26f}), d = 0.32f;
            for (const float side : {-1.0f, 1.0f})
              s.block(b.section(3), {side * w, h / 2, 0}, {t, h / 2, t}, 0);
            const float reach = w + t + 0.08f;
            s.box({0, h + 0.1f, 0}, {reach, 0.1f, d}, 1);
            if (b[4] == 1) s.wedge({0, h + 0.42f, 0}, {reach, 0.23f, d}, 0, 1);
            if (b[4] == 2) {
              s.cylinder({0, h + 0.3f, 0}, reach, d, 1, Axis::z).half.z = 0.32f;
            }
          }};
}

ObjectClass stairs() {
  return {
      .name = "stairs",
      .metres_per_unit = 1.2,
      .attributes = {{"steps", {"two", "three", "four", "five"}},
                     bins::width(),
                     {"height", {"short", "tall"}},
                     {"side", {"left", "right"}},
                     bins::thickness("wall")},
      .parts = {{"steps", {}}, {"wall", {}}},
      .adjectives = {"{height}", "{width}"},
      .noun = "staircase",
      .features = {"{steps} steps", "a {wall thickness} {1} wall on the {side}"},
      .held_out_counts = {{"steps", "four"}},
      .build = [](const Bins& b, SolidBuilder& s) {
        const int count = b[0] + 2;
        const float w = b.pick(1, {0.36f, 0.6f}), h = b.pick(2, {0.75f, 1.3f}), t = b.pick(4, {0.09f, 0.2f});
        const float d = 1.3f, side = b[3] == 0 ? -1.0f : 1.0f;
        for (int i = 0; i < count; ++i) {
          // Each step runs on to the back, so no slab is thin.
          const float front = d / 2 - d * static_cast<float>(i) / static_cast<float>(count);
          const float top = h * static_cast<float>(i + 1) / static_cast<float>(count);
          s.box({0, top / 2, (front - d / 2) / 2}, {w, top / 2, (front + d / 2) / 2}, 0);
        }
        s.box({side * (w + t), h / 2 + 0.12f, 0}, {t, h / 2 + 0.12f, d / 2}, 1);
      }};
}

}  // namespace

std::vector<ObjectClass> building_classes() { return {house(), tower(), arch(), stairs()}; }

}  // namespace omni::data
