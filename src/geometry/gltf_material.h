#pragma once

#include <optional>

#include "gltf_document.h"
#include "texture.h"

namespace omni::geometry {

// KHR_texture_transform: scale, then rotation (counter-clockwise in a space with v downwards), then offset.
struct CoordinateTransform {
  double offset[2] = {0, 0}, scale[2] = {1, 1}, rotation = 0;
  TextureCoordinate operator()(TextureCoordinate at) const;
};

// What of a material gives colour, together with what of it is per texture coordinate.
struct GltfMaterial {
  Vec3 factor{1, 1, 1};     // linear
  bool has_factor = false;  // whether the file names one
  std::optional<Texture> texture;
  std::int64_t coordinate_set = 0;
  std::optional<CoordinateTransform> transform;
  bool is_invisible = false;  // transparent all over
};

// The material `index`, or a white one below 0. What has no base colour but emits light shows that.
GltfMaterial read_gltf_material(GltfDocument& document, std::int64_t index);

}  // namespace omni::geometry
