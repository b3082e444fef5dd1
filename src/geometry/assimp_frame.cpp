#include "assimp_frame.h"

#include <assimp/scene.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string_view>

#include "text_scanner.h"
#include "zip_member.h"

namespace omni::geometry {
namespace {

Matrix4 scaled(double metres_per_unit) {
  Matrix4 frame;
  for (int i = 0; i < 3; ++i) frame.m[i][i] = metres_per_unit;
  return frame;
}

std::optional<std::int64_t> setting(const aiScene& scene, const char* key) {
  std::int32_t value = 0;
  if (scene.mMetaData && scene.mMetaData->Get(key, value)) return value;
  return std::nullopt;
}

// FBX counts in units of its own, given in centimetres, and names the axes that lead right, up and to the
// front.
Matrix4 frame_of_fbx(const aiScene& scene) {
  double centimetres = 0;
  float single = 0;
  if (scene.mMetaData && !scene.mMetaData->Get("UnitScaleFactor", centimetres) &&
      scene.mMetaData->Get("UnitScaleFactor", single))
    centimetres = double(single);
  const double scale = centimetres > 0 && std::isfinite(centimetres) ? centimetres / 100 : 1;
  const std::array<std::optional<std::int64_t>, 3> axes = {
      setting(scene, "CoordAxis"), setting(scene, "UpAxis"), setting(scene, "FrontAxis")};
  const std::array<std::optional<std::int64_t>, 3> signs = {
      setting(scene, "CoordAxisSign"), setting(scene, "UpAxisSign"), setting(scene, "FrontAxisSign")};
  std::array<bool, 3> used{};
  for (const auto& axis : axes)
    if (axis && *axis >= 0 && *axis < 3) used[std::size_t(*axis)] = true;
  if (!(used[0] && used[1] && used[2])) return scaled(scale);
  Matrix4 frame = Matrix4::zero();
  for (std::size_t row = 0; row < 3; ++row)
    frame.m[row][*axes[row]] = signs[row].value_or(1) < 0 ? -scale : scale;
  return frame;
}

// The value of an attribute in an XML tag; empty without. `tag` is what stands between "<" and ">".
std::string_view attribute(std::string_view tag, std::string_view name) {
  for (std::size_t at = tag.find(name); at != std::string_view::npos; at = tag.find(name, at + 1)) {
    const bool begins = at > 0 && std::string_view(" \t\r\n").find(tag[at - 1]) != std::string_view::npos;
    const std::size_t equals = tag.find_first_not_of(" \t\r\n", at + name.size());
    if (!begins || equals == std::string_view::npos || tag[equals] != '=') continue;
    const std::size_t open = tag.find_first_not_of(" \t\r\n", equals + 1);
    if (open == std::string_view::npos || (tag[open] != '"' && tag[open] != '\'')) return {};
    const std::size_t close = tag.find(tag[open], open + 1);
    return close == std::string_view::npos ? std::string_view{} : tag.substr(open + 1, close - open - 1);
  }
  return {};
}

// Cuts the next tag of that element, in any namespace, off `text`; nothing where there is none.
std::optional<std::string_view> next_tag(std::string_view& text, std::string_view element) {
  for (;;) {
    const std::size_t open = text.find('<');
    const std::size_t close = open == std::string_view::npos ? open : text.find('>', open);
    if (close == std::string_view::npos) return std::nullopt;
    const std::string_view tag = text.substr(open + 1, close - open - 1);
    text.remove_prefix(close + 1);
    std::string_view name = tag.substr(0, tag.find_first_of(" \t\r\n/"));
    if (const std::size_t colon = name.find(':'); colon != std::string_view::npos)
      name.remove_prefix(colon + 1);
    if (equal_words(name, element)) return tag;
  }
}

double metres_of(std::string_view unit) {
  struct Unit {
    std::string_view name;
    double metres;
  };
  static constexpr std::array<Unit, 7> units = {{{"micron", 1e-6},
                                                 {"millimeter", 1e-3},
                                                 {"centimeter", 1e-2},
                                                 {"meter", 1},
                                                 {"inch", 0.0254},
                                                 {"foot", 0.3048},
                                                 {"feet", 0.3048}}};
  for (const Unit& known : units)
    if (equal_words(unit, known.name)) return known.metres;
  return 1e-3;
}

double metres_of_root(std::string_view text, std::string_view element) {
  const auto tag = next_tag(text, element);
  return metres_of(tag ? attribute(*tag, "unit") : std::string_view{});
}

Matrix4 frame_of_3mf(std::span<const std::byte> bytes) {
  constexpr std::size_t kLookedAt = std::size_t{1} << 16;  // the root element comes first
  const double scale =
      metres_of_root(read_zip_member(bytes, "3D/3dmodel.model", ".model", kLookedAt), "model");
  Matrix4 frame = Matrix4::zero();  // Z up, as the specification says, to Y up
  frame.m[0][0] = frame.m[1][2] = scale;
  frame.m[2][1] = -scale;
  return frame;
}

double metres_of_x3d(std::string_view text) {
  while (const auto tag = next_tag(text, "unit")) {
    if (attribute(*tag, "category") != "length") continue;
    const auto factor = parse_number<double>(attribute(*tag, "conversionFactor"));
    if (factor && *factor > 0 && std::isfinite(*factor)) return *factor;
  }
  return 1;
}

}  // namespace

Matrix4 stated_frame(const aiScene& scene, std::span<const std::byte> bytes, const std::string& extension) {
  if (extension == ".3mf") return frame_of_3mf(bytes);
  if (extension == ".amf") return scaled(metres_of_root(as_text(bytes), "amf"));
  if (extension == ".x3d") return scaled(metres_of_x3d(as_text(bytes)));
  return frame_of_fbx(scene);
}

}  // namespace omni::geometry
