#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "omni/geometry/mesh.h"
#include "omni/image/image.h"

namespace omni::geometry {

struct TextureCoordinate {
  float u = 0, v = 0;  // v grows downwards, from the image's top row, as in glTF
  friend bool operator==(TextureCoordinate, TextureCoordinate) = default;
};

enum class TextureWrap { repeat, clamp_to_edge, mirrored_repeat };

struct Texture {
  std::shared_ptr<const image::Image> image;
  TextureWrap wrap_u = TextureWrap::repeat, wrap_v = TextureWrap::repeat;
  bool nearest = false;

  Vec3 sample_linear(TextureCoordinate at) const;  // bilinear in linear RGB unless `nearest`
};

// What gives a surface its colour: the product of the three, in linear RGB.
struct Material {
  Vec3 factor{1, 1, 1};
  const Texture* texture = nullptr;  // may be null
};

// One part of a mesh before its colours are baked. Attributes are empty or as long as `positions`.
struct Primitive {
  std::vector<Vec3> positions;
  std::vector<Vec3> normals;
  std::vector<Vec3> linear_colours;
  std::vector<TextureCoordinate> coordinates;
  std::vector<std::array<std::uint32_t, 3>> triangles;
};

// Turns texture, vertex colours and factor into sRGB vertex colours. Where the texture changes inside a
// triangle in a way that its corners cannot show, triangles are divided, each edge on both of its sides, so
// that closed meshes stay closed; `triangle_budget` limits how many come to be. Vertices that differ in
// nothing but their texture coordinate are joined.
Mesh bake_colours(const Primitive& primitive, const Material& material, std::size_t triangle_budget = 100000);

}  // namespace omni::geometry
