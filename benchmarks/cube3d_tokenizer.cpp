// The public shape tokenizer's size (Cube3D v0.5: 275 million parameters, random weights) on this machine:
//   cube3d_tokenizer FOLDER   writes FOLDER/weights.safetensors, surface.npy and indices.npy, then times
//     encode       8,192 surface points to 1,024 codes      against the same network in PyTorch, fp32
//     encode_bf16  the same with matmuls in bf16            against the same; prints the share of equal codes
//     mesh         codes to a mesh of 257^3 lattice points  against PyTorch's dense grid of 17.0 million queries
//     mesh_bf16    the same with matmuls in bf16
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
#include "omni/kernels/cpu_memory.h"
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

double equal_share(const std::vector<std::int32_t>& a, const std::vector<std::int32_t>& b) {
  std::size_t equal = 0;
  for (std::size_t i = 0; i < a.size(); ++i) equal += a[i] == b[i];
  return static_cast<double>(equal) / static_cast<double>(a.size());
}

// Of the fields with the torus, and of the networks' own values, whose median stands for their surface.
void print_field_agreement(const tokenizers::DecodedShape& a, const tokenizers::DecodedShape& b) {
  constexpr int kSide = 32;
  std::vector<Vec3> points;
  for (int i = 0; i < kSide * kSide * kSide; ++i) {
    const auto place = [](int k) { return 1.05f * (2.0f * float(k) + 1 - kSide) / kSide; };
    points.push_back({place(i % kSide), place(i / kSide % kSide), place(i / (kSide * kSide))});
  }
  std::vector<float> of_a(points.size()), of_b(points.size());
  a.values(points, of_a);
  b.values(points, of_b);
  std::vector<float> sorted = of_a;
  std::nth_element(sorted.begin(), sorted.begin() + sorted.size() / 2, sorted.end());
  const float median = sorted[sorted.size() / 2];
  double both = 0, either = 0, own_both = 0, own_either = 0;
  for (std::size_t i = 0; i < points.size(); ++i) {
    const float torus = torus_distance(points[i]);
    const bool in_a = 1e-3f * of_a[i] + torus > 0, in_b = 1e-3f * of_b[i] + torus > 0;
    both += in_a && in_b;
    either += in_a || in_b;
    own_both += of_a[i] > median && of_b[i] > median;
    own_either += of_a[i] > median || of_b[i] > median;
  }
  std::printf(", IoU of the decoded fields %.4f (of the networks' own values above their median: %.4f)\n",
              both / either, own_both / own_either);
}

void time_mesh(const char* name, const tokenizers::ShapeTokenizer& tokenizer,
               const std::vector<tokenizers::ShapeCodes>& codes) {
  geometry::IsoSurfaceResult result;
  const double time = seconds(1, [&] {
    const auto shape = std::move(tokenizer.decode(codes)[0]);
    const auto field = [&](std::span<const Vec3> points, std::span<float> values) {
      shape->values(points, values);
      for (std::size_t i = 0; i < points.size(); ++i)
        values[i] = 1e-3f * values[i] + torus_distance(points[i]);
    };
    result = geometry::extract_iso_surface(field, {.resolution = kResolution});
  });
  std::printf("%s: %.1f s, %lld field queries (%.0f /s), %zu triangles\n", name, time,
              static_cast<long long>(result.field_queries), double(result.field_queries) / time,
              result.mesh.triangles.size());
}

}  // namespace

int main(int argument_count, char** arguments) {
  if (argument_count != 2) {
    std::fprintf(stderr, "usage: cube3d_tokenizer FOLDER\n");
    return 2;
  }
  const std::string folder = arguments[1];
  kernels::keep_freed_memory();
  tokenizers::VecsetShapeTokenizer tokenizer(public_size(), 1), fast(public_size(), 1);
  tokenizer.network().parameters().set_trainable(false);
  tokenizer.network().parameters().save(folder + "/weights.safetensors");
  fast.network().parameters().set_trainable(false);
  fast.compute_in(at::kBFloat16);
  const tokenizers::ShapeSample sample = torus_points(8192);
  write_surface(folder + "/surface.npy", tokenizers::surface_tensor(std::span(&sample, 1)));

  std::vector<tokenizers::ShapeCodes> codes, fast_codes;
  const double encode = seconds(3, [&] { codes = tokenizer.encode(std::span(&sample, 1)); });
  write_file_atomically(folder + "/indices.npy", std::span<const std::byte>(to_npy(codes[0].geometry)));
  std::printf("encode: %.3f s\n", encode);
  const double fast_encode = seconds(3, [&] { fast_codes = fast.encode(std::span(&sample, 1)); });
  std::printf("encode_bf16: %.3f s, %.2f %% of the codes equal", fast_encode,
              100 * equal_share(codes[0].geometry, fast_codes[0].geometry));
  print_field_agreement(*tokenizer.decode(codes)[0], *tokenizer.decode(fast_codes)[0]);
  time_mesh("mesh", tokenizer, codes);
  time_mesh("mesh_bf16", fast, codes);
  return 0;
}
