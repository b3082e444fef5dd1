#include "weld.h"

#include <bit>

namespace omni::geometry {
namespace {

constexpr std::uint32_t kEmpty = 0xffffffffu;

bool same_bits(Vec3 a, Vec3 b) {
  for (std::size_t axis = 0; axis < 3; ++axis) {
    if (std::bit_cast<std::uint32_t>(a[axis] + 0.0f) != std::bit_cast<std::uint32_t>(b[axis] + 0.0f))
      return false;
  }
  return true;
}

std::uint64_t hash_bits(Vec3 p, std::uint64_t h) {
  for (std::size_t axis = 0; axis < 3; ++axis) {
    h = (h ^ std::bit_cast<std::uint32_t>(p[axis] + 0.0f)) * 0x9e3779b97f4a7c15ull;
    h ^= h >> 29;
  }
  return h;
}

template <class Hash, class Equal>
Weld weld_by(std::size_t count, const Hash& hash, const Equal& equal) {
  Weld weld;
  weld.group_of.resize(count);
  // Open addressing at a load of at most one half.
  std::vector<std::uint32_t> table(std::bit_ceil(2 * count + 2), kEmpty);
  const std::size_t mask = table.size() - 1;
  for (std::size_t v = 0; v < count; ++v) {
    std::size_t slot = hash(v) & mask;
    while (table[slot] != kEmpty && !equal(weld.first_of[table[slot]], v)) slot = (slot + 1) & mask;
    if (table[slot] == kEmpty) {
      table[slot] = static_cast<std::uint32_t>(weld.first_of.size());
      weld.first_of.push_back(static_cast<std::uint32_t>(v));
    }
    weld.group_of[v] = table[slot];
  }
  return weld;
}

}  // namespace

Weld weld_positions(std::span<const Vec3> positions) {
  return weld_by(
      positions.size(), [&](std::size_t v) { return hash_bits(positions[v], 0); },
      [&](std::size_t a, std::size_t b) { return same_bits(positions[a], positions[b]); });
}

Weld weld_positions_and_colours(std::span<const Vec3> positions, std::span<const Vec3> colours) {
  if (colours.empty()) return weld_positions(positions);
  return weld_by(
      positions.size(), [&](std::size_t v) { return hash_bits(colours[v], hash_bits(positions[v], 0)); },
      [&](std::size_t a, std::size_t b) {
        return same_bits(positions[a], positions[b]) && same_bits(colours[a], colours[b]);
      });
}

}  // namespace omni::geometry
