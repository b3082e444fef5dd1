#include "object_class.h"

namespace omni::data {
namespace {

ObjectClass tree() {
  return {.name = "tree",
          .metres_per_unit = 3,
          .attributes = {bins::height(),
                         bins::size("crown"),
                         {"crown form", {"round", "square", "pointed"}},
                         bins::thickness("trunk"),
                         bins::width()},
          .parts = {{"crown", {}}, {"trunk", {}}},
          .adjectives = {"{height}"},
          .noun = "tree",
          .features = {"a {crown size} {crown form} crown", "a {trunk thickness} {1} trunk", "{width} roots"},
          .held_out_attributes = {{"crown size", "small"}},
          .build = [](const Bins& b, SolidBuilder& s) {
            const float trunk = b.pick(0, {0.5f, 0.8f, 1.15f}), r = b.pick(1, {0.4f, 0.62f});
            const float t = b.pick(3, {0.11f, 0.22f}), roots = b.pick(4, {0.3f, 0.55f});
            s.cylinder({0, trunk / 2 + 0.1f, 0}, t, trunk / 2 + 0.1f, 1);
            s.taper_between(Section::round, 0, 0.24f, roots, roots, 0.6f, 1);
            if (b[2] == 0) s.ball({0, trunk + r, 0}, r, 0);
            if (b[2] == 1) s.block_between(Section::square, trunk, trunk + 1.8f * r, r, r, 0);
            if (b[2] == 2) s.taper_between(Section::round, trunk, trunk + 2 * r, r * 1.1f, r * 1.1f, 0, 0);
          }};
}

ObjectClass pine() {
  return {.name = "pine",
          .metres_per_unit = 4,
          .attributes = {{"layers", {"two", "three", "four"}},
                         bins::height(),
                         bins::width(),
                         bins::thickness("trunk"),
                         {"tip", {"pointed", "blunt"}}},
          .parts = {{"layers", {}}, {"trunk", {}}},
          .adjectives = {"{height}", "{width}", "{tip}"},
          .noun = "pine tree",
          .features = {"{layers} layers", "a {trunk thickness} {1} trunk"},
          .held_out_counts = {{"layers", "three"}},
          .build = [](const Bins& b, SolidBuilder& s) {
            const int count = b[0] + 2;
            const float trunk = b.pick(1, {0.3f, 0.55f, 0.9f}), r = b.pick(2, {0.45f, 0.68f});
            const float t = b.pick(3, {0.11f, 0.24f}), rise = 0.42f;
            s.cylinder({0, trunk / 2 + 0.1f, 0}, t, trunk / 2 + 0.1f, 1);
            for (int i = 0; i < count; ++i) {
              const float y = trunk + rise * static_cast<float>(i);
              const float w = r * (1 - 0.36f * static_cast<float>(i) / static_cast<float>(count - 1));
              const bool last = i + 1 == count;
              s.taper_between(Section::round, y, y + rise + (last ? 0.15f : 0.02f), w, w,
                              last ? (b[4] == 0 ? 0.0f : 0.5f) : 0.4f, 0);
            }
          }};
}

ObjectClass mushroom() {
  return {.name = "mushroom",
          .metres_per_unit = 0.1,
          .attributes = {bins::height(),
                         {"cap form", {"flat", "round", "pointed"}},
                         bins::width(),
                         bins::thickness("stem"),
                         bins::size("foot")},
          .parts = {{"cap", {}}, {"stem", {}}},
          .adjectives = {"{height}"},
          .noun = "mushroom",
          .features = {"a {width} {cap form} cap", "a {stem thickness} {1} stem", "a {foot size} foot"},
          .held_out_attributes = {{"cap form", "pointed"}},
          .build = [](const Bins& b, SolidBuilder& s) {
            const float stem = b.pick(0, {0.5f, 0.85f, 1.2f}), w = b.pick(2, {0.52f, 0.78f});
            const float t = b.pick(3, {0.14f, 0.3f}), foot = b.pick(4, {0.34f, 0.54f});
            s.cylinder({0, stem / 2 + 0.08f, 0}, t, stem / 2 + 0.08f, 1);
            s.cylinder({0, 0.1f, 0}, foot, 0.1f, 1);
            if (b[1] == 0) s.cylinder({0, stem + 0.14f, 0}, w, 0.14f, 0);
            if (b[1] == 1) s.ellipsoid({0, stem + 0.3f, 0}, {w, 0.38f, w}, 0);
            if (b[1] == 2) s.taper_between(Section::round, stem, stem + 0.75f, w, w, 0, 0);
          }};
}

ObjectClass snowman() {
  return {.name = "snowman",
          .metres_per_unit = 0.8,
          .attributes = {{"balls", {"two", "three", "four"}},
                         bins::width3(),
                         bins::level("hat"),
                         bins::form("hat"),
                         {"arms", {"short", "long"}}},
          .parts = {{"balls", {}}, {"hat", {}}},
          .adjectives = {"{width}"},
          .noun = "snowman",
          .features = {"{balls} balls", "a {hat height} {hat form} {1} hat", "{arms} arms"},
          .held_out_counts = {{"balls", "four"}},
          .build = [](const Bins& b, SolidBuilder& s) {
            const int count = b[0] + 2;
            const float stretch = b.pick(1, {0.85f, 1.15f, 1.5f}), hat = b.pick(2, {0.2f, 0.5f});
            const float reach = b.pick(4, {0.22f, 0.55f});
            float y = 0, r = 0.5f, arm_y = 0, arm_r = 0;
            for (int i = 0; i < count; ++i) {
              r = 0.5f * (1 - 0.42f * static_cast<float>(i) / static_cast<float>(count - 1));
              if (i > 0) y += r * 0.7f;
              if (i == 0) y = r;
              s.ellipsoid({0, y, 0}, {r * stretch, r, r * stretch}, 0);
              if (i == (count > 2 ? 1 : 0)) arm_y = y, arm_r = r * stretch;
              y += r * 0.7f;
            }
            const float top = y + r * 0.16f;
            s.block_between(b.section(3), top - 0.06f, top + 0.18f, r * 1.45f, r * 1.45f, 1);
            s.block_between(b.section(3), top + 0.1f, top + 0.18f + hat, r * 0.9f, r * 0.9f, 1);
            s.cylinder({0, arm_y, 0}, 0.115f, arm_r + reach, 1, Axis::x);
            for (const float side : {-1.0f, 1.0f}) s.ball({side * (arm_r + reach), arm_y, 0}, 0.18f, 1);
          }};
}

}  // namespace

std::vector<ObjectClass> nature_classes() { return {tree(), pine(), mushroom(), snowman()}; }

}  // namespace omni::data
