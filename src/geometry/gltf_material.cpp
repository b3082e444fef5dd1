#include "gltf_material.h"

#include <cmath>

#include "omni/core/error.h"
#include "texture_files.h"

namespace omni::geometry {
namespace {

using Json = nlohmann::json;

TextureWrap wrap_mode(std::int64_t value) {
  return value == 33071   ? TextureWrap::clamp_to_edge
         : value == 33648 ? TextureWrap::mirrored_repeat
                          : TextureWrap::repeat;
}

// Where the picture is: one in another format than PNG and JPEG takes precedence if it is read.
std::int64_t picture_of(const Json& texture, const std::string& name) {
  const std::int64_t source = json_integer(texture, "source", -1, name);
  if (const Json* extensions = json_member(texture, "extensions"))
    if (const Json* webp = json_member(*extensions, "EXT_texture_webp"))
      return json_integer(*webp, "source", source, name);
  return source;
}

void read_checked_texture(GltfDocument& document, const Json& info, GltfMaterial& material) {
  const std::string& name = document.name();
  const Json& texture = document.item("textures", json_integer(info, "index", -1, name));
  const std::int64_t source = picture_of(texture, name);
  if (source < 0) {
    document.notes().add(kWithoutTextures, "one is in a format that is not read");
    return;
  }
  Texture result;
  result.image = document.image(source);
  if (!result.image) return;
  if (const std::int64_t sampler = json_integer(texture, "sampler", -1, name); sampler >= 0) {
    const Json& json = document.item("samplers", sampler);
    result.wrap_u = wrap_mode(json_integer(json, "wrapS", 10497, name));
    result.wrap_v = wrap_mode(json_integer(json, "wrapT", 10497, name));
    result.nearest = json_integer(json, "magFilter", 9729, name) == 9728;
  }
  material.texture = result;
  material.coordinate_set = json_integer(info, "texCoord", 0, name);
  const Json* extensions = json_member(info, "extensions");
  const Json* json = extensions ? json_member(*extensions, "KHR_texture_transform") : nullptr;
  if (!json) return;
  CoordinateTransform transform;
  json_numbers(*json, "offset", transform.offset, 2, name);
  json_numbers(*json, "scale", transform.scale, 2, name);
  transform.rotation = json_number(*json, "rotation", 0, name);
  material.coordinate_set = json_integer(*json, "texCoord", material.coordinate_set, name);
  material.transform = transform;
}

// What is wrong with a texture costs no more than it.
void read_texture(GltfDocument& document, const Json& info, GltfMaterial& material) {
  try {
    GltfMaterial textured = material;
    read_checked_texture(document, info, textured);
    material = std::move(textured);
  } catch (const Error& error) {
    document.notes().add(kWithoutTextures, error.what());
  }
}

// A black surface that glows shows what it emits.
void read_emission(GltfDocument& document, const Json& json, GltfMaterial& material) {
  double factor[3] = {0, 0, 0};
  json_numbers(json, "emissiveFactor", factor, 3, document.name());
  if (!(factor[0] > 0 || factor[1] > 0 || factor[2] > 0)) return;
  material.texture.reset();
  material.transform.reset();
  material.factor = {float(factor[0]), float(factor[1]), float(factor[2])};
  if (const Json* info = json_member(json, "emissiveTexture")) read_texture(document, *info, material);
}

// Nothing is drawn where the most that alpha can be hides the surface.
bool is_transparent(const Json& json, double alpha, const std::string& name) {
  const std::string mode = json_string(json, "alphaMode", name);
  if (mode == "MASK") return alpha < json_number(json, "alphaCutoff", 0.5, name);
  return mode == "BLEND" && !(alpha > 0);
}

}  // namespace

TextureCoordinate CoordinateTransform::operator()(TextureCoordinate at) const {
  const double u = at.u * scale[0], v = at.v * scale[1], c = std::cos(rotation), s = std::sin(rotation);
  return {float(c * u + s * v + offset[0]), float(-s * u + c * v + offset[1])};
}

GltfMaterial read_gltf_material(GltfDocument& document, std::int64_t index) {
  GltfMaterial material;
  if (index < 0) return material;
  const Json& json = document.item("materials", index);
  const Json* surface = json_member(json, "pbrMetallicRoughness");
  const char *factor_key = "baseColorFactor", *texture_key = "baseColorTexture";
  if (const Json* extensions = json_member(json, "extensions")) {
    if (const Json* older = json_member(*extensions, "KHR_materials_pbrSpecularGlossiness")) {
      surface = older;
      factor_key = "diffuseFactor";
      texture_key = "diffuseTexture";
    }
  }
  if (!surface) return material;
  double factor[4] = {1, 1, 1, 1};
  json_numbers(*surface, factor_key, factor, 4, document.name());
  material.has_factor = json_member(*surface, factor_key) != nullptr;
  material.factor = {float(factor[0]), float(factor[1]), float(factor[2])};
  material.is_invisible = is_transparent(json, factor[3], document.name());
  if (material.factor == Vec3{})
    read_emission(document, json, material);
  else if (const Json* info = json_member(*surface, texture_key))
    read_texture(document, *info, material);
  return material;
}

}  // namespace omni::geometry
