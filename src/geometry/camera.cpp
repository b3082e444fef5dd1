#include "omni/geometry/camera.h"

#include <numbers>

#include "omni/core/error.h"

namespace omni::geometry {
namespace {

constexpr float kRadiansPerDegree = std::numbers::pi_v<float> / 180;

}  // namespace

Vec3 Camera::position() const {
  const float azimuth = azimuth_degrees * kRadiansPerDegree,
              elevation = elevation_degrees * kRadiansPerDegree;
  const float ground = distance * std::cos(elevation);
  return {ground * std::sin(azimuth), distance * std::sin(elevation), ground * std::cos(azimuth)};
}

void Camera::basis(Vec3& right, Vec3& up, Vec3& forward) const {
  // From the angles rather than from a cross product with +Y, so that looking straight down is not a special
  // case.
  const float azimuth = azimuth_degrees * kRadiansPerDegree,
              elevation = elevation_degrees * kRadiansPerDegree;
  const float sa = std::sin(azimuth), ca = std::cos(azimuth), se = std::sin(elevation),
              ce = std::cos(elevation);
  right = {ca, 0, -sa};
  up = {-sa * se, ce, -ca * se};
  forward = {-sa * ce, -se, -ca * ce};
}

float azimuth_of_bin(int bin) {
  ensure(bin >= 0 && bin < kAzimuthBins, "azimuth bin ", bin, " of ", kAzimuthBins);
  return 360.0f / kAzimuthBins * float(bin);
}

float elevation_of_bin(int bin) {
  ensure(bin >= 0 && bin < kElevationBins, "elevation bin ", bin, " of ", kElevationBins);
  return -30.0f + 15.0f * float(bin);
}

}  // namespace omni::geometry
