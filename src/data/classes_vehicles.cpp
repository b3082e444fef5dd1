#include "object_class.h"
#include "omni/data/palette.h"

namespace omni::data {
namespace {

// Vehicles drive towards +X, so that the front view shows their side.
void wheel_pairs(SolidBuilder& s, std::initializer_list<float> along, float radius, float half_track,
                 int part) {
  for (const float x : along)
    for (const float side : {-1.0f, 1.0f})
      s.cylinder({x, radius, side * half_track}, radius, 0.12f, part, Axis::z);
}

PartSpec wheels() {
  return {"wheels",
          {palette_index("black"), palette_index("grey"), palette_index("white"), palette_index("brown")}};
}

ObjectClass car() {
  return {.name = "car",
          .metres_per_unit = 2,
          .attributes = {bins::length(),
                         bins::width(),
                         bins::level("cabin"),
                         {"cabin place", {"front", "middle", "rear"}},
                         bins::size("wheels")},
          .parts = {{"body", {}},
                    wheels(),
                    {"cabin",
                     {palette_index("white"), palette_index("cyan"), palette_index("yellow"),
                      palette_index("black")}}},
          .adjectives = {"{length}", "{width}"},
          .noun = "car",
          .features = {"a {cabin height} {2} cabin at the {cabin place}", "{wheels size} {1} wheels"},
          .held_out_attributes = {{"wheels size", "large"}},
          .build = [](const Bins& b, SolidBuilder& s) {
            const float l = b.pick(0, {0.65f, 0.88f, 1.15f}), w = b.pick(1, {0.3f, 0.52f});
            const float cabin = b.pick(2, {0.24f, 0.5f}), r = b.pick(4, {0.18f, 0.32f});
            const float low = r * 0.75f, high = low + 0.36f, half_cabin = l * 0.42f;
            s.box({0, (low + high) / 2, 0}, {l, (high - low) / 2, w}, 0);
            const float x = b.pick(3, {1, 0, -1}) * (l - half_cabin - 0.08f);
            s.box({x, high + cabin / 2, 0}, {half_cabin, cabin / 2, w - 0.05f}, 2);
            wheel_pairs(s, {-l * 0.6f, l * 0.6f}, r, w, 1);
          }};
}

ObjectClass truck() {
  return {.name = "truck",
          .metres_per_unit = 4,
          .attributes = {bins::length(),
                         bins::level("cargo"),
                         bins::form("cargo"),
                         {"wheels", {"four", "six"}},
                         bins::size("wheels")},
          .parts = {{"cab", {}}, {"cargo", {}}, wheels()},
          .adjectives = {"{length}"},
          .noun = "truck",
          .features = {"a {cargo height} {cargo form} {1} cargo box", "{wheels} {wheels size} {2} wheels"},
          .held_out_attributes = {{"length", "mid-length"}},
          .build = [](const Bins& b, SolidBuilder& s) {
            const float l = b.pick(0, {0.5f, 0.72f, 0.95f}), h = b.pick(1, {0.25f, 0.44f}),
                        r = b.pick(4, {0.17f, 0.29f});
            const float w = 0.4f, floor = r * 0.9f, top = floor + 0.22f;
            const float front = l + 0.58f;
            s.box({(front - l) / 2, (floor + top) / 2, 0}, {(front + l) / 2, 0.11f, w}, 0);
            s.box({front - 0.22f, top + 0.28f, 0}, {0.22f, 0.28f, w}, 0);
            if (b[2] == 0) {
              Primitive& tank = s.cylinder({0, top + h, 0}, h, l, 1, Axis::x);
              tank.half.z = w;
            } else {
              s.box({0, top + h, 0}, {l, h, w + 0.04f}, 1);
            }
            if (b[3] == 0)
              wheel_pairs(s, {-l * 0.6f, front - 0.3f}, r, w, 2);
            else
              wheel_pairs(s, {-l + r * 0.9f, (front - 0.3f - l + r * 0.9f) / 2, front - 0.3f}, r, w, 2);
          }};
}

ObjectClass rocket() {
  return {.name = "rocket",
          .metres_per_unit = 10,
          .attributes = {bins::height(),
                         bins::width3(),
                         {"nose", {"pointed", "round"}},
                         {"fins", {"three", "four"}},
                         bins::size("fins")},
          .parts = {{"body", {}}, {"fins", {}}},
          .adjectives = {"{height}", "{width}"},
          .noun = "rocket",
          .features = {"a {nose} nose", "{fins} {fins size} {1} fins"},
          .held_out_counts = {{"fins", "three"}},
          .build = [](const Bins& b, SolidBuilder& s) {
            const float h = b.pick(0, {0.6f, 1.0f, 1.5f}), r = b.pick(1, {0.24f, 0.34f, 0.46f});
            const float fin = b.pick(4, {0.26f, 0.5f}), low = 0.22f;
            s.block_between(Section::round, low, low + h, r, r, 0);
            if (b[2] == 0)
              s.taper_between(Section::round, low + h, low + h + 0.6f, r, r, 0, 1);
            else
              s.ellipsoid({0, low + h, 0}, {r, r * 0.9f, r}, 1);
            s.taper_between(Section::round, 0, low + 0.02f, r * 0.8f, r * 0.8f, 0.6f, 1);
            const int count = b[3] + 3;
            for (int i = 0; i < count; ++i) {
              const float turn =
                  static_cast<float>(i) * 360.0f / static_cast<float>(count) + (count == 4 ? 0.0f : 90.0f);
              Primitive& p = s.wedge({0, fin * 0.75f, 0}, {fin / 2 + 0.06f, fin * 0.75f, 0.1f}, -1, 1);
              rotate(p, Axis::y, turn);
              p.centre += p.axes[0] * (r + fin / 2 - 0.06f);
            }
          }};
}

ObjectClass boat() {
  return {.name = "boat",
          .metres_per_unit = 4,
          .attributes = {bins::length(),
                         bins::width(),
                         bins::level("cabin"),
                         {"funnels", {"two", "three"}},
                         bins::thickness("funnels")},
          .parts = {{"hull", {}}, {"cabin", {}}},
          .adjectives = {"{length}", "{width}"},
          .noun = "boat",
          .features = {"a {cabin height} {1} cabin", "{funnels} {funnels thickness} funnels"},
          .held_out_attributes = {{"length", "mid-length"}},
          .build = [](const Bins& b, SolidBuilder& s) {
            const float l = b.pick(0, {0.65f, 0.9f, 1.2f}), w = b.pick(1, {0.3f, 0.52f}),
                        cabin = b.pick(2, {0.2f, 0.5f});
            const float t = b.pick(4, {0.12f, 0.21f}), deck = 0.42f;
            s.taper_between(Section::square, 0, deck, l * 0.75f, w * 0.7f, 1 / 0.75f, 0);
            s.box({0, deck + 0.07f, 0}, {l, 0.1f, w * 0.95f}, 0);
            s.box({0, deck + 0.15f + cabin / 2, 0}, {l * 0.62f, cabin / 2, w * 0.65f}, 1);
            const int count = b[3] + 2;
            for (int i = 0; i < count; ++i) {
              const float x = l * 0.42f * (2 * static_cast<float>(i) / static_cast<float>(count - 1) - 1);
              s.cylinder({x, deck + 0.45f + cabin, 0}, t, 0.4f, 0);
            }
          }};
}

}  // namespace

std::vector<ObjectClass> vehicle_classes() { return {car(), truck(), rocket(), boat()}; }

}  // namespace omni::data
