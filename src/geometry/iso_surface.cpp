#include "omni/geometry/iso_surface.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "lattice_surface.h"
#include "omni/core/error.h"
#include "sparse_lattice.h"

namespace omni::geometry {
namespace {

void check(const IsoSurfaceOptions& options, bool dense) {
  const int limit = dense ? 1024 : 2048;
  if (options.resolution < 2 || options.resolution > limit) {
    fail(ErrorKind::usage, "iso-surface: resolution ", options.resolution, " is outside 2 .. ", limit,
         dense ? " (dense). Choose a coarse factor above 1 for more" : ". Choose a smaller one");
  }
  if (!(options.half_extent > 0) || !std::isfinite(options.half_extent)) {
    fail(ErrorKind::usage, "iso-surface: half extent ", options.half_extent, " is not positive");
  }
  if (options.coarse_factor < 1 || options.dilation_cells < 0) {
    fail(ErrorKind::usage, "iso-surface: the coarse factor must be at least 1 and the dilation at least 0");
  }
}

// Bits of up to 64 values above isovalue; NaN is not above.
std::uint64_t bits_above(const float* values, int count, float isovalue) {
  std::uint64_t bits = 0;
  int i = 0;
#if defined(__SSE2__)
  const __m128 threshold = _mm_set1_ps(isovalue);
  for (; i + 4 <= count; i += 4) {
    const int four = _mm_movemask_ps(_mm_cmpgt_ps(_mm_loadu_ps(values + i), threshold));
    bits |= static_cast<std::uint64_t>(four) << i;
  }
#endif
  for (; i < count; ++i) bits |= std::uint64_t{values[i] > isovalue} << i;
  return bits;
}

InsideBits inside_of_values(std::span<const float> values, const IsoSurfaceOptions& options) {
  const int points = options.resolution + 1;
  InsideBits inside(points);
  parallel_for(points, 4, [&](std::int64_t begin, std::int64_t end) {
    for (int z = static_cast<int>(begin); z < end; ++z) {
      if (z == 0 || z == points - 1) continue;
      for (int y = 1; y + 1 < points; ++y) {
        const float* row = values.data() + (std::size_t(z) * points + y) * points;
        std::uint64_t* out = inside.row(y, z);
        for (int x = 0; x < points; x += 64) {
          out[x / 64] = bits_above(row + x, std::min(64, points - x), options.isovalue);
        }
        out[0] &= ~std::uint64_t{1};
        out[(points - 1) / 64] &= ~(std::uint64_t{1} << ((points - 1) % 64));
      }
    }
  });
  return inside;
}

std::vector<float> evaluate_dense(const FieldFunction& field, const IsoSurfaceOptions& options) {
  const int points = options.resolution + 1;
  const std::size_t layer = std::size_t(points) * points;
  std::vector<float> values(layer * points);
  const int layers_per_batch = static_cast<int>(std::max<std::size_t>(1, (std::size_t{1} << 17) / layer));
  std::vector<Vec3> batch;
  for (int z = 0; z < points; z += layers_per_batch) {
    const int end = std::min(points, z + layers_per_batch);
    batch.clear();
    for (int k = z; k < end; ++k) {
      for (int y = 0; y < points; ++y) {
        for (int x = 0; x < points; ++x) batch.push_back(lattice_point(options, x, y, k));
      }
    }
    field(batch, std::span(values).subspan(z * layer, batch.size()));
  }
  return values;
}

}  // namespace

Vec3 lattice_point(const IsoSurfaceOptions& options, int x, int y, int z) {
  const auto n = static_cast<float>(options.resolution);
  const auto coordinate = [&](int i) { return options.half_extent * ((2 * static_cast<float>(i) - n) / n); };
  return {coordinate(x), coordinate(y), coordinate(z)};
}

Mesh extract_iso_surface(std::span<const float> values, const IsoSurfaceOptions& options) {
  check(options, true);
  const auto points = static_cast<std::size_t>(options.resolution) + 1;
  if (values.size() != points * points * points) {
    fail(ErrorKind::usage, "iso-surface: ", values.size(), " values for ", points, "^3 lattice points");
  }
  return surface_of_lattice(inside_of_values(values, options), options, [&](int x, int y, int z) {
    return values[(std::size_t(z) * points + y) * points + x];
  });
}

IsoSurfaceResult extract_iso_surface(const FieldFunction& field, const IsoSurfaceOptions& options) {
  IsoSurfaceResult result;
  if (options.coarse_factor == 1) {
    check(options, true);
    const std::vector<float> values = evaluate_dense(field, options);
    result.mesh = extract_iso_surface(values, options);
    result.field_queries = static_cast<std::int64_t>(values.size());
    return result;
  }
  check(options, false);
  const SparseLattice lattice(field, options);
  result.mesh = surface_of_lattice(lattice.inside(), options,
                                   [&](int x, int y, int z) { return lattice.value(x, y, z); });
  result.field_queries = lattice.field_queries();
  return result;
}

}  // namespace omni::geometry
