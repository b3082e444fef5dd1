// The public shape tokenizer's size (Cube3D v0.5: 275 million parameters, random weights) on this machine:
//   cube3d_tokenizer FOLDER   writes FOLDER/weights.safetensors, surface.npy and indices.npy, then times
//     encode      8,192 surface points to 1,024 codes     against the same network in PyTorch
//     mesh        codes to a mesh of 257^3 lattice points against PyTorch's dense grid of 17.0 million field
//     queries
// (benchmarks/peers/cube3d_tokenizer.py reads the files.) Random weights have no surface, so the network's
// value, scaled to 1e-3, is added to the signed distance of a torus; the network's cost is what it is.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "omni/core/files.h"
#include "omni/core/npy.h"
#include "omni/core/random.h"
#include "omni/geometry/iso_surface.h"
#include "omni/tokenizers/shape_vecset.h"

namespace {

using namespace omni;
using geometry::Vec3;

constexpr int kResolution = 256;
constexpr float kRing = 0.65f, kTube = 0.25f;

double seconds(int repeats, const std::function<void()>& work) {
  std::vector<double> times;
  for (int i = 0; i < repeats; ++i) {
    const auto start = std::chrono::steady_clock::now();
    work();
    times.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  std::nth_element(times.begin(), times.begin() + repeats / 2, times.end());
  return times[repeats / 2];
}

tokenizers::VecsetShapeConfig public_size() {
  tokenizers::VecsetShapeConfig config;
  config.latents = 1024;
  config.width = 768;
  config.heads = 12;
  config.frequencies = 128;
  config.encoder_layers = 13;
  config.encoder_cross_attention_layers = {0, 2, 4, 8};
  config.decoder_layers = 24;
  config.quantiser.kind = "spherical";
  config.quantiser.codebook_size = 16384;
  config.quantiser.codebook_dim = 32;
  config.surface_points = 8192;
  return config;
}

tokenizers::ShapeSample torus_points(std::size_t count) {
  tokenizers::ShapeSample sample;
  CounterRng rng(1);
  for (std::size_t i = 0; i < count; ++i) {
    const float u = 6.2831853f * float(rng.uniform()), v = 6.2831853f * float(rng.uniform());
    const Vec3 normal{std::cos(v) * std::cos(u), std::sin(v), std::cos(v) * std::sin(u)};
    sample.surface.positions.push_back(Vec3{kRing * std::cos(u), 0, kRing * std::sin(u)} + normal * kTube);
    sample.surface.normals.push_back(normal);
  }
  return sample;
}

float torus_distance(Vec3 p) {
  const float ring = std::sqrt(p.x * p.x + p.z * p.z) - kRing;
  return kTube - std::sqrt(ring * ring + p.y * p.y);
}

void write_surface(const std::string& path, const at::Tensor& surface) {
  std::ofstream out(path, std::ios::binary);
  std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 8192, 6), }";
  header.append(64 - 1 - (10 + header.size()) % 64, ' ');
  header += '\n';
  out << "\x93NUMPY" << '\1' << '\0' << static_cast<char>(header.size()) << '\0' << header;
  out.write(reinterpret_cast<const char*>(surface.const_data_ptr<float>()),
            static_cast<std::streamsize>(surface.numel() * 4));
}

}  // namespace

int main(int argument_count, char** arguments) {
  if (argument_count != 2) {
    std::fprintf(stderr, "usage: cube3d_tokenizer FOLDER\n");
    return 2;
  }
  const std::string folder = arguments[1];
  tokenizers::VecsetShapeTokenizer tokenizer(public_size(), 1);
  tokenizer.network().parameters().set_trainable(false);
  tokenizer.network().parameters().save(folder + "/weights.safetensors");
  const tokenizers::ShapeSample sample = torus_points(8192);
  write_surface(folder + "/surface.npy", tokenizers::surface_tensor(std::span(&sample, 1)));

  std::vector<tokenizers::ShapeCodes> codes;
  const double encode = seconds(3, [&] { codes = tokenizer.encode(std::span(&sample, 1)); });
  write_file_atomically(folder + "/indices.npy", std::span<const std::byte>(to_npy(codes[0].geometry)));
  std::printf("encode: %.3f s\n", encode);

  geometry::IsoSurfaceResult result;
  const double mesh = seconds(1, [&] {
    const auto shape = std::move(tokenizer.decode(codes)[0]);
    const auto field = [&](std::span<const Vec3> points, std::span<float> values) {
      shape->values(points, values);
      for (std::size_t i = 0; i < points.size(); ++i)
        values[i] = 1e-3f * values[i] + torus_distance(points[i]);
    };
    result = geometry::extract_iso_surface(field, {.resolution = kResolution});
  });
  std::printf("mesh: %.1f s, %lld field queries (%.0f /s), %zu triangles\n", mesh,
              static_cast<long long>(result.field_queries), double(result.field_queries) / mesh,
              result.mesh.triangles.size());
  return 0;
}
