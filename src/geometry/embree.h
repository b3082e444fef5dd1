#pragma once

// The one place that tells Embree 3 and 4 apart.
#if __has_include(<embree4/rtcore.h>) && !__has_include(<embree3/rtcore.h>)
#include <embree4/rtcore.h>
#define OMNI_EMBREE_VERSION 4
#else
#include <embree3/rtcore.h>
#define OMNI_EMBREE_VERSION 3
#endif

#include "omni/geometry/mesh.h"

namespace omni::geometry {

// An Embree scene with one triangle mesh, and the single-threaded device that it lives on: work runs in
// parallel over objects, so a device with a thread pool of its own would only add start-up time. Movable, not
// copyable. Queries are thread-safe.
class EmbreeScene {
 public:
  enum class Quality { fast_build, fast_queries };

  // Copies positions and triangles. Throws Error(internal) if Embree refuses.
  EmbreeScene(const Mesh& mesh, Quality quality);
  ~EmbreeScene();
  EmbreeScene(EmbreeScene&& other) noexcept;
  EmbreeScene& operator=(EmbreeScene&& other) noexcept;

  RTCScene handle() const { return scene_; }

 private:
  RTCDevice device_ = nullptr;
  RTCScene scene_ = nullptr;
};

// Nearest hits of 16 rays that start together; `valid` holds -1 for rays to trace and 0 for the others.
void intersect16(RTCScene scene, const int* valid, RTCRayHit16& rays);

}  // namespace omni::geometry
