#include "omni/data/palette.h"

#include <array>

#include "omni/core/error.h"

namespace omni::data {
namespace {

constexpr geometry::Vec3 from_bytes(int r, int g, int b) {
  return {static_cast<float>(r) / 255, static_cast<float>(g) / 255, static_cast<float>(b) / 255};
}

const std::array<PaletteColour, 12> kPalette = {{
    {"red", from_bytes(212, 32, 40)},
    {"orange", from_bytes(246, 130, 16)},
    {"yellow", from_bytes(250, 218, 50)},
    {"green", from_bytes(40, 150, 56)},
    {"blue", from_bytes(36, 70, 200)},
    {"purple", from_bytes(128, 44, 164)},
    {"pink", from_bytes(248, 140, 190)},
    {"brown", from_bytes(116, 68, 32)},
    {"black", from_bytes(28, 28, 32)},
    {"white", from_bytes(244, 244, 240)},
    {"grey", from_bytes(140, 142, 146)},
    {"cyan", from_bytes(60, 204, 220)},
}};

}  // namespace

std::span<const PaletteColour> palette() { return kPalette; }

int palette_index(std::string_view name) {
  for (std::size_t i = 0; i < kPalette.size(); ++i)
    if (kPalette[i].name == name) return static_cast<int>(i);
  fail(ErrorKind::usage, "looking up colour \"", name, "\": no such palette colour");
}

int nearest_palette_colour(geometry::Vec3 srgb) {
  int best = 0;
  float best_distance = 1e9f;
  for (std::size_t i = 0; i < kPalette.size(); ++i) {
    const geometry::Vec3 d = kPalette[i].srgb - srgb;
    const float distance = dot(d, d);
    if (distance < best_distance) {
      best_distance = distance;
      best = static_cast<int>(i);
    }
  }
  return best;
}

}  // namespace omni::data
