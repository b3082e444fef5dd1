#include <array>

#include "omni/core/error.h"
#include "omni/geometry/mesh_field.h"

namespace omni::geometry {
namespace {

constexpr std::array<std::string_view, 3> kNames = {"auto", "winding", "flood"};

}  // namespace

std::string_view label_mode_name(LabelMode mode) { return kNames[static_cast<std::size_t>(mode)]; }

std::vector<std::string> label_mode_names() { return {kNames.begin(), kNames.end()}; }

LabelMode parse_label_mode(std::string_view name) {
  for (std::size_t i = 0; i < kNames.size(); ++i)
    if (kNames[i] == name) return static_cast<LabelMode>(i);
  fail(ErrorKind::usage, "reading how meshes are labelled: \"", name, "\" is none of auto, winding, flood.");
}

}  // namespace omni::geometry
