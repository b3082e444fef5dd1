#include "omni/nn/rotary.h"

#include <cmath>
#include <map>

#include "omni/core/error.h"

namespace omni::nn {
namespace {

// Angles are formed in double precision once per distinct position: positions repeat a lot in packed
// documents.
struct Turn {
  std::vector<float> cosine, sine;
};

Turn turn_of(std::int32_t position, std::int64_t dimensions, double theta) {
  Turn turn;
  for (std::int64_t i = 0; i < dimensions / 2; ++i) {
    const double angle =
        position * std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(dimensions));
    turn.cosine.push_back(static_cast<float>(std::cos(angle)));
    turn.sine.push_back(static_cast<float>(std::sin(angle)));
  }
  return turn;
}

}  // namespace

RotaryAngles rotary_angles(std::span<const std::span<const std::int32_t>> positions,
                           const RotarySplit& split) {
  ensure(!positions.empty() && positions.size() == split.dimensions.size(),
         "rotary positions: one list per axis");
  const auto rows = static_cast<std::int64_t>(positions[0].size());
  std::int64_t pairs = 0;
  for (const std::int64_t dimensions : split.dimensions) pairs += dimensions / 2;
  RotaryAngles angles{at::empty({rows, pairs}, at::kFloat), at::empty({rows, pairs}, at::kFloat)};
  std::int64_t column = 0;
  for (std::size_t axis = 0; axis < positions.size(); ++axis) {
    const std::int64_t dimensions = split.dimensions[axis];
    ensure(static_cast<std::int64_t>(positions[axis].size()) == rows, "rotary positions differ in length");
    std::map<std::int32_t, Turn> known;
    float* cosine = angles.cosine.mutable_data_ptr<float>() + column;
    float* sine = angles.sine.mutable_data_ptr<float>() + column;
    for (std::int64_t row = 0; row < rows; ++row) {
      auto [found, added] = known.try_emplace(positions[axis][row]);
      if (added) found->second = turn_of(positions[axis][row], dimensions, split.theta);
      std::copy(found->second.cosine.begin(), found->second.cosine.end(), cosine + row * pairs);
      std::copy(found->second.sine.begin(), found->second.sine.end(), sine + row * pairs);
    }
    column += dimensions / 2;
  }
  return angles;
}

}  // namespace omni::nn
