#include "marching_cubes.h"

#include <limits>

#include "marching_cubes_table.h"
#include "omni/core/error.h"

namespace omni::geometry {

CubeMarcher::CubeMarcher(const InsideBits& inside) : inside_(inside) {
  const int n = inside.points_per_axis();
  const int words = inside.words_per_row();
  const std::size_t slots = std::size_t(n) * n * words;
  for (auto& first : first_vertex_) first.resize(slots);
  std::vector<std::size_t> slab_count(n);
  parallel_for(n, 4, [&](std::int64_t begin, std::int64_t end) {
    for (int z = static_cast<int>(begin); z < end; ++z) {
      for (int y = 0; y < n; ++y) {
        for (int word = 0; word < words; ++word) {
          for (int axis = 0; axis < 3; ++axis) {
            const int count = std::popcount(cut_edges(axis, word, y, z));
            first_vertex_[axis][slot(word, y, z)] = static_cast<std::uint32_t>(slab_count[z]);
            slab_count[z] += count;
          }
        }
      }
    }
  });
  std::vector<std::size_t> slab_first(n);
  for (int z = 0; z < n; ++z) {
    slab_first[z] = vertex_count_;
    vertex_count_ += slab_count[z];
  }
  if (vertex_count_ > std::numeric_limits<std::uint32_t>::max()) {
    fail(ErrorKind::usage, "iso-surface: more than 2^32 vertices. Lower the resolution");
  }
  parallel_for(n, 4, [&](std::int64_t begin, std::int64_t end) {
    for (auto& first : first_vertex_) {
      for (std::size_t s = slot(0, 0, int(begin)); s < slot(0, 0, int(end)); ++s) {
        first[s] += static_cast<std::uint32_t>(slab_first[s / (std::size_t(n) * words)]);
      }
    }
  });
}

// Bit i is set where the edge from point 64 word + i along axis joins an inside and an outside point.
std::uint64_t CubeMarcher::cut_edges(int axis, int word, int y, int z) const {
  const int n = inside_.points_per_axis();
  const std::uint64_t here = inside_.row(y, z)[word];
  if (axis == 0) {
    // The last point of a row is on the border, so outside: the bit shifted in after it makes no edge.
    const std::uint64_t carry = word + 1 < inside_.words_per_row() ? inside_.row(y, z)[word + 1] : 0;
    return here ^ (here >> 1 | carry << 63);
  }
  if (axis == 1) return y + 1 < n ? here ^ inside_.row(y + 1, z)[word] : 0;
  return z + 1 < n ? here ^ inside_.row(y, z + 1)[word] : 0;
}

std::uint32_t CubeMarcher::vertex_on(int axis, int x, int y, int z) const {
  const int word = x / 64;
  const std::uint64_t below = (std::uint64_t{1} << (x % 64)) - 1;
  return first_vertex_[axis][slot(word, y, z)] + std::popcount(cut_edges(axis, word, y, z) & below);
}

// Calls visit(case, x, y) for each cell of layer z that the surface crosses.
template <class Visit>
void CubeMarcher::for_each_active_cell(int z, const Visit& visit) const {
  const int n = inside_.points_per_axis();
  for (int y = 0; y + 1 < n; ++y) {
    const std::uint64_t* rows[4] = {inside_.row(y, z), inside_.row(y + 1, z), inside_.row(y, z + 1),
                                    inside_.row(y + 1, z + 1)};
    for (int word = 0; word < inside_.words_per_row(); ++word) {
      std::uint64_t corner[8];
      std::uint64_t any = 0, all = ~std::uint64_t{0};
      for (int r = 0; r < 4; ++r) {
        const std::uint64_t carry = word + 1 < inside_.words_per_row() ? rows[r][word + 1] << 63 : 0;
        corner[2 * r] = rows[r][word];
        corner[2 * r + 1] = rows[r][word] >> 1 | carry;
        any |= corner[2 * r] | corner[2 * r + 1];
        all &= corner[2 * r] & corner[2 * r + 1];
      }
      for (std::uint64_t active = any & ~all; active != 0; active &= active - 1) {
        const int bit = std::countr_zero(active);
        unsigned cell_case = 0;
        for (unsigned c = 0; c < 8; ++c) cell_case |= static_cast<unsigned>(corner[c] >> bit & 1) << c;
        visit(cell_case, word * 64 + bit, y);
      }
    }
  }
}

std::vector<std::array<std::uint32_t, 3>> CubeMarcher::triangles() const {
  const int layers = inside_.points_per_axis() - 1;
  const auto& cases = cube_cases();
  const auto& edges = cube_edges();
  std::vector<std::size_t> first(layers + 1);
  parallel_for(layers, 4, [&](std::int64_t begin, std::int64_t end) {
    for (int z = static_cast<int>(begin); z < end; ++z) {
      std::size_t count = 0;
      for_each_active_cell(z, [&](unsigned cell_case, int, int) { count += cases[cell_case].count; });
      first[z + 1] = count;
    }
  });
  for (int z = 0; z < layers; ++z) first[z + 1] += first[z];
  std::vector<std::array<std::uint32_t, 3>> triangles(first[layers]);
  parallel_for(layers, 4, [&](std::int64_t begin, std::int64_t end) {
    for (int z = static_cast<int>(begin); z < end; ++z) {
      auto* out = triangles.data() + first[z];
      for_each_active_cell(z, [&](unsigned cell_case, int x, int y) {
        std::uint32_t vertex[12];
        for (int e = 0; e < 12; ++e) {
          const int a = edges[e].from_corner;
          if ((cell_case >> a & 1) == (cell_case >> edges[e].to_corner & 1)) continue;
          vertex[e] = vertex_on(edges[e].axis, x + (a & 1), y + (a >> 1 & 1), z + (a >> 2));
        }
        for (int t = 0; t < cases[cell_case].count; ++t) {
          const auto& corners = cases[cell_case].triangles[t];
          *out++ = {vertex[corners[0]], vertex[corners[1]], vertex[corners[2]]};
        }
      });
    }
  });
  return triangles;
}

}  // namespace omni::geometry
