#include "omni/geometry/camera.h"

#include <algorithm>
#include <cmath>
#include <limits>
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
  return target +
         Vec3{ground * std::sin(azimuth), distance * std::sin(elevation), ground * std::cos(azimuth)};
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

Camera fitted(Camera camera, std::span<const Vec3> points, float aspect, float margin) {
  Vec3 right, up, forward;
  camera.basis(right, up, forward);
  const float rise = (1 - 2 * margin) * std::tan(camera.vertical_fov_degrees * kRadiansPerDegree / 2);
  const float reach = rise * aspect;
  // An eye at (x, y, z), z along `forward`, sees a point (px, py, pz) if |px - x| <= reach (pz - z), |py - y|
  // <= rise (pz - z): four half-spaces for each point, of which the outermost of each kind decide.
  constexpr float kNone = -std::numeric_limits<float>::infinity();
  float most_right = kNone, most_left = kNone, most_up = kNone, most_down = kNone;
  float nearest = std::numeric_limits<float>::infinity(), furthest = kNone;
  for (const Vec3& point : points) {
    const float x = dot(point, right), y = dot(point, up), z = dot(point, forward);
    most_right = std::max(most_right, x - reach * z);
    most_left = std::max(most_left, -x - reach * z);
    most_up = std::max(most_up, y - rise * z);
    most_down = std::max(most_down, -y - rise * z);
    nearest = std::min(nearest, z);
    furthest = std::max(furthest, z);
  }
  const float eye = std::min(-(most_right + most_left) / (2 * reach), -(most_up + most_down) / (2 * rise));
  const float middle = (nearest + furthest) / 2;
  if (!(middle - eye > 0) || !std::isfinite(middle - eye)) return camera;
  camera.distance = middle - eye;
  camera.target =
      right * ((most_right - most_left) / 2) + up * ((most_up - most_down) / 2) + forward * middle;
  return camera;
}

float fitting_distance(const Camera& camera, std::span<const Vec3> points, float aspect, float margin) {
  Vec3 right, up, forward;
  camera.basis(right, up, forward);
  const float rise = (1 - 2 * margin) * std::tan(camera.vertical_fov_degrees * kRadiansPerDegree / 2);
  float distance = 0;
  for (const Vec3& point : points) {
    const Vec3 from = point - camera.target;
    const float sideways = std::max(std::abs(dot(from, right)) / aspect, std::abs(dot(from, up)));
    distance = std::max(distance, sideways / rise - dot(from, forward));
  }
  return distance;
}

std::string view_label(const Camera& camera) {
  const auto elevation = concat(" el ", std::lround(camera.elevation_degrees), "°");
  const long azimuth = ((std::lround(camera.azimuth_degrees) % 360) + 360) % 360;
  if (azimuth == 0) return "front" + elevation;
  if (azimuth == 180) return "back" + elevation;
  return concat("az ", azimuth, "°", elevation);
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
