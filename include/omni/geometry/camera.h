#pragma once

#include <span>
#include <string>

#include "omni/geometry/vector3.h"

namespace omni::geometry {

// A pinhole camera that looks at its target. Azimuth 0 looks from +Z (the front) towards -Z and grows towards
// +X; elevation is the angle above the ground plane. Degrees.
struct Camera {
  float azimuth_degrees = 0;
  float elevation_degrees = 0;
  float distance = 4.6f;  // of the eye from the target, in the normalised frame: all but the widest cubes fit
  float vertical_fov_degrees = 38.0f;
  Vec3 target{};

  Vec3 position() const;
  void basis(Vec3& right, Vec3& up, Vec3& forward) const;  // orthonormal
};

// The camera moved, but not turned, to where the points fill a picture best without touching its border:
// along the longer side they leave `margin` of it free at either end, along the other they lie in the middle.
// `aspect`: width by height. The same camera where there are no points or none that is apart from another.
Camera fitted(Camera camera, std::span<const Vec3> points, float aspect = 1, float margin = 0.04f);

// The least distance from its target at which the camera, looking where it looks, has the points in its
// picture with `margin` of it free around them. 0 without points.
float fitting_distance(const Camera& camera, std::span<const Vec3> points, float aspect = 1,
                       float margin = 0.04f);

// The direction in a few letters: "front el 20°", "az 30° el 20°"; whole degrees.
std::string view_label(const Camera& camera);

// The bins of a view: 24 azimuths (bin i at 15 i degrees) and 7 elevations (-30, -15, 0, 15, 30, 45, 60).
inline constexpr int kAzimuthBins = 24;
inline constexpr int kElevationBins = 7;
float azimuth_of_bin(int bin);    // degrees
float elevation_of_bin(int bin);  // degrees

}  // namespace omni::geometry
