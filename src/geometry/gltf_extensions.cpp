#include "gltf_extensions.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <string_view>

#include "omni/core/error.h"
#include "omni/core/utf8.h"

namespace omni::geometry {
namespace {

using Json = nlohmann::json;

// Of geometry, and read.
constexpr std::array<std::string_view, 6> kRead = {"EXT_mesh_gpu_instancing", "EXT_meshopt_compression",
                                                   "KHR_meshopt_compression", "KHR_draco_mesh_compression",
                                                   "KHR_mesh_quantization",   "KHR_node_visibility"};
// Of looks, lights, names and behaviour; these leave the shape at rest as it is.
constexpr std::string_view kFamilies[] = {"KHR_materials_",
                                          "EXT_materials_",
                                          "NV_materials_",
                                          "KHR_texture_",
                                          "EXT_texture_",
                                          "MSFT_texture_",
                                          "MSFT_packing_",
                                          "KHR_techniques",
                                          "KHR_blend",
                                          "KHR_lights_",
                                          "EXT_lights_",
                                          "KHR_animation_",
                                          "KHR_xmp",
                                          "KHR_audio",
                                          "MSFT_audio_",
                                          "KHR_interactivity",
                                          "KHR_physics_",
                                          "KHR_rigid_bodies",
                                          "KHR_collision_",
                                          "OMI_",
                                          "KHR_node_selectability",
                                          "KHR_node_hoverability",
                                          "EXT_mesh_features",
                                          "EXT_instance_features",
                                          "EXT_structural_metadata",
                                          "EXT_feature_metadata",
                                          "EXT_mesh_manifold",
                                          "EXT_mesh_primitive_edge_visibility",
                                          "CESIUM_primitive_outline",
                                          "FB_",
                                          "MSFT_lod",
                                          "GODOT_",
                                          "VRM"};

bool leaves_shape_alone(std::string_view extension) {
  return std::any_of(std::begin(kFamilies), std::end(kFamilies),
                     [&](std::string_view family) { return extension.starts_with(family); });
}
bool is_read(std::string_view extension) {
  return std::find(kRead.begin(), kRead.end(), extension) != kRead.end();
}

[[noreturn]] void refuse(const GltfDocument& document, const std::string& extension, const char* where) {
  fail(ErrorKind::input, "cannot read mesh ", document.name(), ": ", where, " the extension ",
       printable(extension), ", which is not read and may change its shape. Export it without.");
}

template <class Visit>
void for_each_extension(const Json& object, const Visit& visit) {
  const Json* extensions = json_member(object, "extensions");
  if (!extensions || !extensions->is_object()) return;
  for (const auto& [extension, unused] : extensions->items()) visit(extension);
}

void check_section(GltfDocument& document, const char* section, const char* where) {
  for (std::size_t i = 0; i < document.count(section); ++i)
    for_each_extension(document.item(section, std::int64_t(i)), [&](const std::string& extension) {
      if (!is_read(extension) && !leaves_shape_alone(extension)) refuse(document, extension, where);
    });
}

void check_primitives(GltfDocument& document) {
  for (std::size_t i = 0; i < document.count("meshes"); ++i) {
    const Json* primitives = json_member(document.item("meshes", std::int64_t(i)), "primitives");
    if (!primitives || !primitives->is_array()) continue;
    for (const Json& primitive : *primitives)
      for_each_extension(primitive, [&](const std::string& extension) {
        if (!is_read(extension) && !leaves_shape_alone(extension))
          refuse(document, extension, "one of its primitives has");
      });
  }
}

// Nodes also carry what programs keep for themselves.
void check_nodes(GltfDocument& document) {
  for (const char* section : {"nodes", "skins"})
    for (std::size_t i = 0; i < document.count(section); ++i)
      for_each_extension(document.item(section, std::int64_t(i)), [&](const std::string& extension) {
        if (is_read(extension) || leaves_shape_alone(extension)) return;
        const std::string_view name = extension;
        const auto names = [&](std::string_view part) { return name.find(part) != std::string_view::npos; };
        if (name.starts_with("KHR_") || name.starts_with("EXT_") || names("mesh") || names("geometry") ||
            names("instanc"))
          refuse(document, extension, "one of its nodes has");
        document.notes().add("is read without extensions of its nodes", extension);
      });
}

}  // namespace

void check_gltf_extensions(GltfDocument& document) {
  const Json* required = json_member(document.json(), "extensionsRequired");
  if (required && required->is_array())
    for (const Json& entry : *required) {
      const std::string extension = entry.is_string() ? entry.get<std::string>() : "";
      if (!is_read(extension) && !leaves_shape_alone(extension)) refuse(document, extension, "it requires");
    }
  check_primitives(document);
  check_section(document, "meshes", "one of its meshes has");
  check_section(document, "accessors", "one of its accessors has");
  check_section(document, "bufferViews", "one of its buffer views has");
  check_section(document, "buffers", "one of its buffers has");
  check_nodes(document);
}

}  // namespace omni::geometry
