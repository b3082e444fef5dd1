#include "texture.h"

#include <algorithm>
#include <cmath>

namespace omni::geometry {
namespace {

// 256 entries: the transfer function is too slow to call for every texel.
const std::array<float, 256>& linear_of_byte() {
  static const std::array<float, 256> table = [] {
    std::array<float, 256> values{};
    for (int i = 0; i < 256; ++i) values[std::size_t(i)] = image::srgb_to_linear(float(i) / 255);
    return values;
  }();
  return table;
}

int wrap(std::int64_t texel, int size, TextureWrap mode) {
  if (mode == TextureWrap::clamp_to_edge) return int(std::clamp<std::int64_t>(texel, 0, size - 1));
  const std::int64_t period = mode == TextureWrap::repeat ? size : 2 * std::int64_t(size);
  const std::int64_t inside = ((texel % period) + period) % period;
  return int(inside < size ? inside : period - 1 - inside);
}

Vec3 texel(const image::Image& image, int x, int y) {
  const std::uint8_t* p = image.at(x, y);
  const auto& table = linear_of_byte();
  if (image.channels == 1) return {table[p[0]], table[p[0]], table[p[0]]};
  return {table[p[0]], table[p[1]], table[p[2]]};
}

// Coordinates beyond any sense (or not a number) read texel 0 rather than overflow.
double in_texels(float coordinate, int size) {
  const double value = double(coordinate) * size;
  return std::abs(value) < 1e9 ? value : 0;
}

}  // namespace

Vec3 Texture::sample_linear(TextureCoordinate at) const {
  const double u = in_texels(at.u, image->width), v = in_texels(at.v, image->height);
  if (nearest)
    return texel(*image, wrap(std::int64_t(std::floor(u)), image->width, wrap_u),
                 wrap(std::int64_t(std::floor(v)), image->height, wrap_v));
  const double left = std::floor(u - 0.5), top = std::floor(v - 0.5);
  const auto fu = float(u - 0.5 - left), fv = float(v - 0.5 - top);
  const int x0 = wrap(std::int64_t(left), image->width, wrap_u);
  const int x1 = wrap(std::int64_t(left) + 1, image->width, wrap_u);
  const int y0 = wrap(std::int64_t(top), image->height, wrap_v);
  const int y1 = wrap(std::int64_t(top) + 1, image->height, wrap_v);
  return (texel(*image, x0, y0) * (1 - fu) + texel(*image, x1, y0) * fu) * (1 - fv) +
         (texel(*image, x0, y1) * (1 - fu) + texel(*image, x1, y1) * fu) * fv;
}

}  // namespace omni::geometry
