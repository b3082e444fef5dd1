#include "object_class.h"

namespace omni::data {
namespace {

ObjectClass robot() {
  return {.name = "robot",
          .metres_per_unit = 0.8,
          .attributes = {bins::height(), bins::width(), bins::thickness("arms"), bins::size("head"),
                         bins::form("head")},
          .parts = {{"body", {}}, {"limbs", {}}},
          .adjectives = {"{height}", "{width}"},
          .noun = "robot",
          .features = {"a {head size} {head form} head", "{arms thickness} {1} arms and legs"},
          .held_out_attributes = {{"height", "tall"}},
          .build = [](const Bins& b, SolidBuilder& s) {
            const float leg = b.pick(0, {0.25f, 0.55f, 0.9f}), w = b.pick(1, {0.3f, 0.5f});
            const float t = b.pick(2, {0.09f, 0.17f}), head = b.pick(3, {0.2f, 0.34f});
            const float top = leg + 0.65f;
            s.box({0, leg + 0.325f, 0}, {w, 0.325f, 0.28f}, 0);
            for (const float side : {-1.0f, 1.0f}) {
              s.box({side * w * 0.6f, leg / 2, 0}, {t, leg / 2, t}, 1);
              s.box({side * (w + t), top - 0.32f, 0}, {t, 0.3f, t}, 1);
            }
            if (b[4] == 0)
              s.ball({0, top + head * 0.85f, 0}, head, 0);
            else
              s.box({0, top + head, 0}, {head, head, head * 0.9f}, 0);
          }};
}

ObjectClass hammer() {
  return {.name = "hammer",
          .metres_per_unit = 0.18,
          .attributes = {bins::length(),
                         bins::thickness("handle"),
                         bins::size("head"),
                         bins::form("head"),
                         {"peen", {"flat", "pointed"}}},
          .parts = {{"head", {}}, {"handle", {}}},
          .adjectives = {"{length}"},
          .noun = "hammer",
          .features = {"a {head size} {head form} {peen} head", "a {handle thickness} {1} handle"},
          .held_out_attributes = {{"head form", "round"}},
          .build = [](const Bins& b, SolidBuilder& s) {
            const float l = b.pick(0, {0.6f, 0.9f, 1.25f}), t = b.pick(1, {0.1f, 0.19f});
            const float h = b.pick(2, {0.2f, 0.32f});
            s.cylinder({0, l / 2, 0}, t, l / 2, 1);
            const float y = l + h - 0.04f;
            const float back = b[4] == 0 ? h * 1.5f : h * 0.6f;
            const float front = h * 1.5f;
            if (b[3] == 0) {
              s.cylinder({(front - back) / 2, y, 0}, h, (front + back) / 2, 0, Axis::x);
            } else {
              s.box({(front - back) / 2, y, 0}, {(front + back) / 2, h, h}, 0);
            }
            if (b[4] == 1) {
              Primitive& tip = s.taper(b.section(3), {0, 0, 0}, {h, h * 0.6f, h}, 0, 0);
              rotate(tip, Axis::z, 90);
              tip.centre = {-back - h * 0.6f, y, 0};
            }
          }};
}

ObjectClass dumbbell() {
  return {.name = "dumbbell",
          .metres_per_unit = 0.2,
          .attributes = {bins::length(),
                         bins::thickness("bar"),
                         bins::size("weights"),
                         {"weights form", {"round", "square", "flat"}},
                         {"direction", {"upright", "lying"}}},
          .parts = {{"weights", {}}, {"bar", {}}},
          .adjectives = {"{length}", "{direction}"},
          .noun = "dumbbell",
          .features = {"{weights size} {weights form} weights", "a {bar thickness} {1} bar"},
          .held_out_attributes = {{"weights form", "square"}},
          .build = [](const Bins& b, SolidBuilder& s) {
            const float half = b.pick(0, {0.62f, 0.8f, 1.02f}), t = b.pick(1, {0.12f, 0.24f});
            const float r = b.pick(2, {0.34f, 0.5f});
            const bool upright = b[4] == 0;
            const Axis axis = upright ? Axis::y : Axis::x;
            s.cylinder({0, 0, 0}, t, half, 1, axis);
            for (const float side : {-1.0f, 1.0f}) {
              const geometry::Vec3 c =
                  upright ? geometry::Vec3{0, side * half, 0} : geometry::Vec3{side * half, 0, 0};
              if (b[3] == 0) s.ball(c, r, 0);
              if (b[3] == 1) s.box(c, {r * 0.85f, r * 0.85f, r * 0.85f}, 0);
              if (b[3] == 2) s.cylinder(c, r * 1.1f, 0.13f, 0, axis);
            }
          }};
}

}  // namespace

std::vector<ObjectClass> toy_classes() { return {robot(), hammer(), dumbbell()}; }

}  // namespace omni::data
