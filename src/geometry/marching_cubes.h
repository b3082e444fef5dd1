#pragma once

#include <bit>
#include <cstdint>
#include <vector>

#include "omni/core/parallel.h"
#include "omni/geometry/mesh.h"

namespace omni::geometry {

// Which points of a cubic lattice are inside, one bit each: rows along x, 64 points a word.
class InsideBits {
 public:
  explicit InsideBits(int points_per_axis)
      : points_(points_per_axis),
        words_((points_per_axis + 63) / 64),
        bits_(std::size_t(points_per_axis) * points_per_axis * words_) {}

  int points_per_axis() const { return points_; }
  int words_per_row() const { return words_; }
  std::uint64_t* row(int y, int z) { return bits_.data() + (std::size_t(z) * points_ + y) * words_; }
  const std::uint64_t* row(int y, int z) const {
    return bits_.data() + (std::size_t(z) * points_ + y) * words_;
  }
  bool get(int x, int y, int z) const { return row(y, z)[x / 64] >> (x % 64) & 1; }
  void set(int x, int y, int z) { row(y, z)[x / 64] |= std::uint64_t{1} << (x % 64); }
  void assign(int x, int y, int z, bool inside) {
    std::uint64_t& word = row(y, z)[x / 64];
    const std::uint64_t bit = std::uint64_t{1} << (x % 64);
    word = inside ? word | bit : word & ~bit;
  }

 private:
  int points_;
  int words_;
  std::vector<std::uint64_t> bits_;
};

// Numbers the vertices (one on each lattice edge between an inside and an outside point) and lists the
// triangles. A vertex is found by rank, base of its 64 edges plus a count of bits below it, so nothing is
// hashed.
class CubeMarcher {
 public:
  explicit CubeMarcher(const InsideBits& inside);

  std::size_t vertex_count() const { return vertex_count_; }
  // Calls place(vertex, axis, x, y, z) once for each vertex, in parallel; the edge runs from (x, y, z) along
  // axis.
  template <class Place>
  void for_each_vertex(const Place& place) const;
  std::vector<std::array<std::uint32_t, 3>> triangles() const;

 private:
  std::uint64_t cut_edges(int axis, int word, int y, int z) const;
  std::size_t slot(int word, int y, int z) const {
    return (std::size_t(z) * inside_.points_per_axis() + y) * inside_.words_per_row() + word;
  }
  std::uint32_t vertex_on(int axis, int x, int y, int z) const;
  template <class Visit>
  void for_each_active_cell(int z, const Visit& visit) const;

  const InsideBits& inside_;
  std::vector<std::uint32_t> first_vertex_[3];  // per axis and word
  std::size_t vertex_count_ = 0;
};

template <class Place>
void CubeMarcher::for_each_vertex(const Place& place) const {
  const int n = inside_.points_per_axis();
  parallel_for(n, 4, [&](std::int64_t begin, std::int64_t end) {
    for (int z = static_cast<int>(begin); z < end; ++z) {
      for (int y = 0; y < n; ++y) {
        for (int word = 0; word < inside_.words_per_row(); ++word) {
          for (int axis = 0; axis < 3; ++axis) {
            std::uint32_t vertex = first_vertex_[axis][slot(word, y, z)];
            for (std::uint64_t bits = cut_edges(axis, word, y, z); bits != 0; bits &= bits - 1) {
              place(vertex++, axis, word * 64 + std::countr_zero(bits), y, z);
            }
          }
        }
      }
    }
  });
}

}  // namespace omni::geometry
