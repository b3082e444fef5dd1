#include "object_class.h"

namespace omni::data {
namespace {

ObjectClass table() {
  return {.name = "table",
          .metres_per_unit = 0.8,
          .attributes = {bins::height(),
                         bins::width3(),
                         bins::form("top"),
                         {"legs", {"three", "four"}},
                         bins::thickness("legs")},
          .parts = {{"top", {}}, {"legs", {}}},
          .adjectives = {"{height}", "{width}", "{top form}"},
          .noun = "table",
          .features = {"{legs} {legs thickness} {1} legs"},
          .held_out_counts = {{"legs", "three"}},
          .build = [](const Bins& b, SolidBuilder& s) {
            const float h = b.pick(0, {0.5f, 0.75f, 1.05f}), w = b.pick(1, {0.55f, 0.74f, 0.98f});
            const float leg = b.pick(4, {0.1f, 0.2f}), d = 0.58f;
            const float inset = b[2] == 0 ? 0.66f : 1.0f;
            s.block_between(b.section(2), h, h + 0.3f, w, d, 0);
            s.legs(b[3] + 3, w * inset - leg, d * inset - leg, h, leg, 1);
          }};
}

ObjectClass chair() {
  return {.name = "chair",
          .metres_per_unit = 0.6,
          .attributes = {bins::height(), bins::width3(), bins::form("seat"), bins::level("back"),
                         bins::thickness("legs")},
          .parts = {{"seat", {}}, {"legs", {}}},
          .adjectives = {"{height}", "{width}"},
          .noun = "chair",
          .features = {"a {seat form} seat", "a {back height} back", "{legs thickness} {1} legs"},
          .held_out_attributes = {{"back height", "high"}},
          .build = [](const Bins& b, SolidBuilder& s) {
            const float h = b.pick(0, {0.38f, 0.62f, 0.92f}), w = b.pick(1, {0.36f, 0.52f, 0.72f});
            const float back = b.pick(3, {0.45f, 0.78f}), leg = b.pick(4, {0.085f, 0.16f}), d = 0.45f;
            const float inset = b[2] == 0 ? 0.7f : 1.0f;
            s.block_between(b.section(2), h, h + 0.2f, w, d, 0);
            s.box({0, h + 0.1f + back / 2, -d + 0.1f}, {w, back / 2 + 0.1f, 0.1f}, 0);
            s.legs(4, w * inset - leg, d * inset - leg, h, leg, 1);
          }};
}

ObjectClass stool() {
  return {.name = "stool",
          .metres_per_unit = 0.5,
          .attributes = {bins::height(),
                         bins::width3(),
                         bins::form("seat"),
                         {"legs", {"three", "four"}},
                         bins::thickness("legs")},
          .parts = {{"seat", {}}, {"legs", {}}},
          .adjectives = {"{height}", "{width}", "{seat form}"},
          .noun = "stool",
          .features = {"{legs} {legs thickness} {1} legs"},
          .held_out_attributes = {{"width", "wide"}},
          .build = [](const Bins& b, SolidBuilder& s) {
            const float h = b.pick(0, {0.5f, 0.8f, 1.15f}), w = b.pick(1, {0.36f, 0.52f, 0.72f});
            const float leg = b.pick(4, {0.085f, 0.16f}), d = 0.4f;
            const float inset = b[2] == 0 ? 0.7f : 1.0f;
            s.block_between(b.section(2), h, h + 0.34f, w, d, 0);
            s.legs(b[3] + 3, w * inset - leg, d * inset - leg, h, leg, 1);
          }};
}

ObjectClass bench() {
  return {.name = "bench",
          .metres_per_unit = 0.8,
          .attributes = {bins::length(),
                         {"depth", {"shallow", "deep"}},
                         bins::level("back"),
                         bins::size("armrests"),
                         bins::thickness("legs")},
          .parts = {{"seat", {}}, {"legs", {}}},
          .adjectives = {"{length}", "{depth}"},
          .noun = "bench",
          .features = {"a {back height} back", "{armrests size} armrests", "{legs thickness} {1} legs"},
          .held_out_attributes = {{"length", "long"}},
          .build = [](const Bins& b, SolidBuilder& s) {
            const float w = b.pick(0, {0.62f, 0.82f, 1.05f}), d = b.pick(1, {0.34f, 0.5f});
            const float back = b.pick(2, {0.34f, 0.68f}), arm = b.pick(3, {0.2f, 0.45f}),
                        leg = b.pick(4, {0.1f, 0.22f});
            const float h = 0.45f;
            s.box({0, h + 0.1f, 0}, {w, 0.1f, d}, 0);
            s.box({0, h + 0.2f + back / 2, -d + 0.1f}, {w, back / 2, 0.1f}, 0);
            for (const float side : {-1.0f, 1.0f}) {
              s.box({side * (w - 0.1f), h + 0.2f + arm / 2, 0.1f}, {0.12f, arm / 2, d - 0.1f}, 0);
              s.box({side * (w - leg), h / 2, 0}, {leg, h / 2, d}, 1);
            }
          }};
}

ObjectClass lamp() {
  return {.name = "lamp",
          .metres_per_unit = 0.5,
          .attributes = {bins::height(),
                         bins::size("shade"),
                         {"shade form", {"round", "square", "pointed"}},
                         bins::width(),
                         bins::thickness("pole")},
          .parts = {{"shade", {}}, {"pole", {}}},
          .adjectives = {"{height}"},
          .noun = "lamp",
          .features = {"a {shade size} {shade form} shade", "a {width} base", "a {pole thickness} {1} pole"},
          .held_out_attributes = {{"shade form", "square"}},
          .build = [](const Bins& b, SolidBuilder& s) {
            const float pole = b.pick(0, {0.4f, 0.8f, 1.2f}), r = b.pick(1, {0.34f, 0.54f});
            const float base = b.pick(3, {0.3f, 0.6f}), t = b.pick(4, {0.1f, 0.2f});
            s.cylinder({0, 0.1f, 0}, base, 0.1f, 1);
            s.cylinder({0, 0.2f + pole / 2, 0}, t, pole / 2, 1);
            const float y = 0.15f + pole;
            if (b[2] == 0) s.ball({0, y + r, 0}, r, 0);
            if (b[2] == 1) s.block_between(Section::square, y, y + 1.7f * r, r, r, 0);
            if (b[2] == 2) s.taper_between(Section::round, y, y + 1.7f * r, r * 1.1f, r * 1.1f, 0.15f, 0);
          }};
}

ObjectClass bed() {
  return {.name = "bed",
          .metres_per_unit = 1.0,
          .attributes = {bins::width3(),
                         {"legs", {"short", "tall"}},
                         bins::level("headboard"),
                         bins::thickness("mattress"),
                         bins::form("pillow")},
          .parts = {{"frame", {}}, {"mattress", {}}},
          .adjectives = {"{width}"},
          .noun = "bed",
          .features = {"{legs} legs", "a {headboard height} headboard", "a {mattress thickness} {1} mattress",
                       "a {pillow form} pillow"},
          .held_out_attributes = {{"width", "wide"}},
          .build = [](const Bins& b, SolidBuilder& s) {
            const float w = b.pick(0, {0.38f, 0.58f, 0.8f}), leg = b.pick(1, {0.16f, 0.45f});
            const float head = b.pick(2, {0.45f, 0.95f}), m = b.pick(3, {0.16f, 0.38f}), d = 0.9f;
            s.legs(4, w - 0.12f, d - 0.12f, leg, 0.12f, 0);
            s.box({0, leg + 0.09f, 0}, {w, 0.09f, d}, 0);
            s.box({0, leg + 0.18f + head / 2, -d + 0.09f}, {w, head / 2, 0.09f}, 0);
            const float top = leg + 0.18f + m;
            s.box({0, top - m / 2, 0.12f}, {w - 0.04f, m / 2, d - 0.16f}, 1);
            if (b[4] == 0)
              s.cylinder({0, top + 0.06f, -0.5f}, 0.17f, w * 0.8f, 1, Axis::x);
            else
              s.box({0, top + 0.09f, -0.45f}, {w * 0.8f, 0.09f, 0.25f}, 1);
          }};
}

}  // namespace

std::vector<ObjectClass> furniture_classes() { return {table(), chair(), stool(), bench(), lamp(), bed()}; }

}  // namespace omni::data
