#include "omni/nn/rotary.h"

#include <cmath>
#include <unordered_map>

namespace omni::nn {

std::vector<double> rotary_frequencies(std::int64_t dimensions, double theta) {
  std::vector<double> frequencies;
  for (std::int64_t i = 0; i < dimensions / 2; ++i)
    frequencies.push_back(std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(dimensions)));
  return frequencies;
}

DistinctPositions distinct_positions(std::span<const std::int32_t> coordinates) {
  DistinctPositions distinct;
  std::unordered_map<std::int32_t, std::int64_t> known;
  distinct.of_row.reserve(coordinates.size());
  for (const std::int32_t coordinate : coordinates) {
    const auto [found, added] = known.try_emplace(coordinate, static_cast<std::int64_t>(known.size()));
    if (added) distinct.positions.push_back(coordinate);
    distinct.of_row.push_back(found->second);
  }
  return distinct;
}

RotaryAngles rotary_angles(std::span<const RotaryAxis> axes) {
  std::vector<at::Tensor> cosines, sines;
  for (const RotaryAxis& axis : axes) {
    const at::Tensor angles = axis.positions.unsqueeze(1) * axis.frequencies;
    cosines.push_back(angles.cos().to(at::kFloat).index_select(0, axis.of_row));
    sines.push_back(angles.sin().to(at::kFloat).index_select(0, axis.of_row));
  }
  if (axes.size() == 1) return {cosines[0], sines[0]};
  return {at::concat(cosines, 1), at::concat(sines, 1)};
}

}  // namespace omni::nn
