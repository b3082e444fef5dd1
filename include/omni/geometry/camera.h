#pragma once

#include "omni/geometry/vector3.h"

namespace omni::geometry {

// A pinhole camera that looks at the origin. Azimuth 0 looks from +Z (the front) towards -Z and grows towards
// +X; elevation is the angle above the ground plane. Degrees.
struct Camera {
  float azimuth_degrees = 0;
  float elevation_degrees = 0;
  float distance = 4.6f;  // of the eye from the origin, in the normalised frame: all but the widest cubes fit
  float vertical_fov_degrees = 38.0f;

  Vec3 position() const;
  void basis(Vec3& right, Vec3& up, Vec3& forward) const;  // orthonormal
};

// The bins of a view: 24 azimuths (bin i at 15 i degrees) and 7 elevations (-30, -15, 0, 15, 30, 45, 60).
inline constexpr int kAzimuthBins = 24;
inline constexpr int kElevationBins = 7;
float azimuth_of_bin(int bin);    // degrees
float elevation_of_bin(int bin);  // degrees

}  // namespace omni::geometry
