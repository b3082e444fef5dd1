#include "embree.h"

#include <cstring>
#include <utility>

#include "omni/core/error.h"

namespace omni::geometry {
namespace {

template <class T>
T* new_buffer(RTCGeometry geometry, RTCBufferType type, RTCFormat format, std::size_t count) {
  void* memory = rtcSetNewGeometryBuffer(geometry, type, 0, format, sizeof(T), count);
  ensure(memory != nullptr, "Embree has no memory for ", count, " elements");
  return static_cast<T*>(memory);
}

}  // namespace

EmbreeScene::EmbreeScene(const Mesh& mesh, Quality quality) {
  device_ = rtcNewDevice("threads=1,set_affinity=0");
  ensure(device_ != nullptr, "Embree has no device: error ", int(rtcGetDeviceError(nullptr)));
  scene_ = rtcNewScene(device_);
  rtcSetSceneFlags(scene_, RTC_SCENE_FLAG_ROBUST);
  rtcSetSceneBuildQuality(scene_,
                          quality == Quality::fast_build ? RTC_BUILD_QUALITY_LOW : RTC_BUILD_QUALITY_MEDIUM);
  if (!mesh.triangles.empty()) {
    RTCGeometry geometry = rtcNewGeometry(device_, RTC_GEOMETRY_TYPE_TRIANGLE);
    Vec3* positions =
        new_buffer<Vec3>(geometry, RTC_BUFFER_TYPE_VERTEX, RTC_FORMAT_FLOAT3, mesh.positions.size());
    std::memcpy(positions, mesh.positions.data(), mesh.positions.size() * sizeof(Vec3));
    using Triangle = std::array<std::uint32_t, 3>;
    Triangle* triangles =
        new_buffer<Triangle>(geometry, RTC_BUFFER_TYPE_INDEX, RTC_FORMAT_UINT3, mesh.triangles.size());
    std::memcpy(triangles, mesh.triangles.data(), mesh.triangles.size() * sizeof(Triangle));
    rtcCommitGeometry(geometry);
    rtcAttachGeometry(scene_, geometry);
    rtcReleaseGeometry(geometry);
  }
  rtcCommitScene(scene_);
  const RTCError error = rtcGetDeviceError(device_);
  ensure(error == RTC_ERROR_NONE, "Embree could not build a scene of ", mesh.triangles.size(),
         " triangles: error ", int(error));
}

EmbreeScene::~EmbreeScene() {
  if (scene_) rtcReleaseScene(scene_);
  if (device_) rtcReleaseDevice(device_);
}

EmbreeScene::EmbreeScene(EmbreeScene&& other) noexcept
    : device_(std::exchange(other.device_, nullptr)), scene_(std::exchange(other.scene_, nullptr)) {}

EmbreeScene& EmbreeScene::operator=(EmbreeScene&& other) noexcept {
  std::swap(device_, other.device_);
  std::swap(scene_, other.scene_);
  return *this;
}

void intersect16(RTCScene scene, const int* valid, RTCRayHit16& rays) {
#if OMNI_EMBREE_VERSION == 3
  RTCIntersectContext context;
  rtcInitIntersectContext(&context);
  context.flags = RTC_INTERSECT_CONTEXT_FLAG_COHERENT;
  rtcIntersect16(valid, scene, &context, &rays);
#else
  RTCIntersectArguments arguments;
  rtcInitIntersectArguments(&arguments);
  arguments.flags = RTC_RAY_QUERY_FLAG_COHERENT;
  rtcIntersect16(valid, scene, &rays, &arguments);
#endif
}

}  // namespace omni::geometry
