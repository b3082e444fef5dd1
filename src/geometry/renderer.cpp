#include "omni/geometry/renderer.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>

#include "embree.h"
#include "linear_colour.h"
#include "omni/core/error.h"

namespace omni::geometry {
namespace {

constexpr int kPacket = 16;
constexpr Vec3 kLightGrey{0.6f, 0.6f, 0.6f};  // linear
constexpr float kAmbient = 0.3f;

std::uint8_t to_byte(float linear) {
  const float srgb = image::linear_to_srgb(std::clamp(linear, 0.0f, 1.0f));
  return std::uint8_t(std::lround(255 * std::clamp(srgb, 0.0f, 1.0f)));
}

// Embree aborts the program over rays that are not numbers.
void check(const Camera& camera) {
  const auto& [azimuth, elevation, distance, field_of_view, target] = camera;
  if (!std::isfinite(azimuth) || !std::isfinite(elevation) || !std::isfinite(distance) ||
      !std::isfinite(target.x + target.y + target.z))
    fail(ErrorKind::usage, "rendering: a camera at azimuth ", azimuth, ", elevation ", elevation,
         " and distance ", distance, " is nowhere. Give finite numbers");
  if (!(field_of_view > 0 && field_of_view < 180))
    fail(ErrorKind::usage, "rendering: a field of view of ", field_of_view,
         " degrees shows nothing. Give one between 0 and 180");
}

// Ray directions through the image plane at unit distance.
class Pinhole {
 public:
  Pinhole(const Camera& camera, const RenderOptions& options) : origin_(camera.position()) {
    camera.basis(right_, up_, forward_);
    const float half = std::tan(camera.vertical_fov_degrees * std::numbers::pi_v<float> / 360);
    step_ = 2 * half / float(options.height);
    left_ = -half * float(options.width) / float(options.height);
    top_ = half;
  }
  Vec3 origin() const { return origin_; }
  // x and y in pixels from the top left corner of the image.
  Vec3 direction(float x, float y) const {
    return normalised(forward_ + right_ * (left_ + x * step_) + up_ * (top_ - y * step_));
  }

 private:
  Vec3 origin_, right_, up_, forward_;
  float step_ = 0, left_ = 0, top_ = 0;
};

}  // namespace

struct Renderer::Scene {
  explicit Scene(const Mesh& mesh)
      : rays(mesh, EmbreeScene::Quality::fast_build), triangles(mesh.triangles), normals(mesh.normals) {
    colours.reserve(mesh.colours.size());
    for (std::size_t i = 0; i < mesh.colours.size(); ++i)
      colours.push_back(i > 0 && mesh.colours[i] == mesh.colours[i - 1] ? colours.back()
                                                                        : to_linear(mesh.colours[i]));
  }

  Vec3 shade(unsigned triangle, float u, float v, Vec3 geometric_normal, Vec3 direction, bool coloured) const;
  void trace(const Pinhole& pinhole, const RenderOptions& options, int row, std::vector<Vec3>& sums) const;

  EmbreeScene rays;
  std::vector<std::array<std::uint32_t, 3>> triangles;
  std::vector<Vec3> normals;
  std::vector<Vec3> colours;  // linear
};

// Both sides are lit: real meshes are often open or turned inside out.
Vec3 Renderer::Scene::shade(unsigned triangle, float u, float v, Vec3 geometric_normal, Vec3 direction,
                            bool coloured) const {
  const auto& t = triangles[triangle];
  const float w = 1 - u - v;
  Vec3 normal = normalised(geometric_normal);
  if (!normals.empty()) {
    const Vec3 smooth = normalised(normals[t[0]] * w + normals[t[1]] * u + normals[t[2]] * v);
    if (dot(smooth, smooth) > 0) normal = smooth;
  }
  const Vec3 albedo =
      coloured && !colours.empty() ? colours[t[0]] * w + colours[t[1]] * u + colours[t[2]] * v : kLightGrey;
  return albedo * (kAmbient + (1 - kAmbient) * std::abs(dot(normal, direction)));
}

// Adds up the linear colours of one image row's samples; a packet takes neighbouring samples.
void Renderer::Scene::trace(const Pinhole& pinhole, const RenderOptions& options, int row,
                            std::vector<Vec3>& sums) const {
  const int per_axis = options.samples_per_axis;
  const int per_pixel = per_axis * per_axis;
  const int total = options.width * per_pixel;
  const Vec3 background = to_linear(options.background), origin = pinhole.origin();
  std::fill(sums.begin(), sums.end(), Vec3{});
  for (int begin = 0; begin < total; begin += kPacket) {
    RTCRayHit16 packet;
    alignas(64) int valid[kPacket];
    for (int lane = 0; lane < kPacket; ++lane) {
      const int sample = std::min(begin + lane, total - 1);
      const int x = sample / per_pixel, inner = sample % per_pixel;
      const Vec3 direction =
          pinhole.direction(float(x) + (float(inner % per_axis) + 0.5f) / float(per_axis),
                            float(row) + (float(inner / per_axis) + 0.5f) / float(per_axis));
      valid[lane] = begin + lane < total ? -1 : 0;
      packet.ray.org_x[lane] = origin.x;
      packet.ray.org_y[lane] = origin.y;
      packet.ray.org_z[lane] = origin.z;
      packet.ray.dir_x[lane] = direction.x;
      packet.ray.dir_y[lane] = direction.y;
      packet.ray.dir_z[lane] = direction.z;
      packet.ray.tnear[lane] = 0;
      packet.ray.tfar[lane] = std::numeric_limits<float>::infinity();
      packet.ray.time[lane] = 0;
      packet.ray.mask[lane] = ~0u;
      packet.ray.id[lane] = 0;
      packet.ray.flags[lane] = 0;
      packet.hit.geomID[lane] = RTC_INVALID_GEOMETRY_ID;
    }
    intersect16(rays.handle(), valid, packet);
    for (int lane = 0; lane < kPacket && begin + lane < total; ++lane) {
      Vec3& sum = sums[(begin + lane) / per_pixel];
      if (packet.hit.geomID[lane] == RTC_INVALID_GEOMETRY_ID) {
        sum += background;
        continue;
      }
      sum += shade(packet.hit.primID[lane], packet.hit.u[lane], packet.hit.v[lane],
                   {packet.hit.Ng_x[lane], packet.hit.Ng_y[lane], packet.hit.Ng_z[lane]},
                   {packet.ray.dir_x[lane], packet.ray.dir_y[lane], packet.ray.dir_z[lane]},
                   options.use_vertex_colours);
    }
  }
}

Renderer::Renderer(const Mesh& mesh) : scene_(std::make_unique<Scene>(mesh)) {}
Renderer::~Renderer() = default;

image::Image Renderer::render(const Camera& camera, const RenderOptions& options) const {
  check(camera);
  ensure(options.width > 0 && options.height > 0 && options.samples_per_axis > 0, "a render of ",
         options.width, " x ", options.height, " pixels with ", options.samples_per_axis,
         " samples per axis");
  const Pinhole pinhole(camera, options);
  const float share = 1.0f / float(options.samples_per_axis * options.samples_per_axis);
  image::Image result(options.width, options.height, 3);
  std::vector<Vec3> sums(std::size_t(options.width));
  for (int y = 0; y < options.height; ++y) {
    scene_->trace(pinhole, options, y, sums);
    for (int x = 0; x < options.width; ++x)
      for (int c = 0; c < 3; ++c) result.at(x, y)[c] = to_byte(sums[std::size_t(x)][std::size_t(c)] * share);
  }
  return result;
}

}  // namespace omni::geometry
