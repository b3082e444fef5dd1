#include "omni/geometry/thickness.h"

#include <cmath>
#include <vector>

#include "omni/core/error.h"

namespace omni::geometry {
namespace {

constexpr float kFar = 1e12f;  // squared, in cells: more than any grid holds

// Squared distances along a line to the nearest of the parabolas that stand at each place at height f.
class LineTransform {
 public:
  explicit LineTransform(int count) : place_(count), from_(count + 1), line_(count) {}

  void operator()(float* values, std::ptrdiff_t stride) {
    const int n = static_cast<int>(line_.size());
    for (int i = 0; i < n; ++i) line_[i] = values[i * stride];
    int last = 0;
    place_[0] = 0;
    from_[0] = -kFar;
    from_[1] = kFar;
    for (int i = 1; i < n; ++i) {
      float at = meeting(i, place_[last]);
      while (last > 0 && at <= from_[last]) at = meeting(i, place_[--last]);
      if (at <= from_[last]) at = from_[last];
      place_[++last] = i;
      from_[last] = at;
      from_[last + 1] = kFar;
    }
    for (int i = 0, k = 0; i < n; ++i) {
      while (from_[k + 1] < static_cast<float>(i)) ++k;
      const auto away = static_cast<float>(i - place_[k]);
      values[i * stride] = away * away + line_[place_[k]];
    }
  }

 private:
  float meeting(int i, int j) const {
    const auto a = static_cast<float>(i), b = static_cast<float>(j);
    return ((line_[i] + a * a) - (line_[j] + b * b)) / (2 * (a - b));
  }
  std::vector<int> place_;
  std::vector<float> from_, line_;
};

}  // namespace

double mean_thickness(const OccupancyBits& shape) {
  const int resolution = shape.resolution();
  if (resolution < 1 || resolution > 512)
    fail(ErrorKind::usage, "measuring thickness: resolution ", resolution, " must be 1 .. 512");
  const int n = resolution + 2;  // a border of outside
  const std::size_t row = n, layer = row * row;
  std::vector<float> squared(layer * n);
  for (int z = 0; z < resolution; ++z)
    for (int y = 0; y < resolution; ++y)
      for (int x = 0; x < resolution; ++x)
        if (shape.inside(x, y, z)) squared[(z + 1) * layer + (y + 1) * row + x + 1] = kFar;
  LineTransform transform(n);
  for (int a = 0; a < n; ++a)
    for (int b = 0; b < n; ++b) transform(squared.data() + a * layer + b * row, 1);
  for (int a = 0; a < n; ++a)
    for (int b = 0; b < n; ++b) transform(squared.data() + a * layer + b, static_cast<std::ptrdiff_t>(row));
  for (int a = 0; a < n; ++a)
    for (int b = 0; b < n; ++b) transform(squared.data() + a * row + b, static_cast<std::ptrdiff_t>(layer));
  double depth = 0;
  std::int64_t count = 0;
  for (const float distance : squared) {
    if (!(distance > 0)) continue;
    depth += std::sqrt(static_cast<double>(distance)) - 0.5;  // the surface lies between the two centres
    ++count;
  }
  const double cell = 2.0 * shape.half_extent() / resolution;
  return count > 0 ? 4 * cell * depth / static_cast<double>(count) : 0;
}

}  // namespace omni::geometry
