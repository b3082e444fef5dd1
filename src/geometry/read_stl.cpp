#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <unordered_map>

#include "mesh_formats.h"
#include "omni/core/error.h"
#include "text_scanner.h"

namespace omni::geometry {
namespace {

constexpr std::size_t kHeaderBytes = 84, kTriangleBytes = 50;

// A corner of a facet; without colours all have the same one.
struct Corner {
  Vec3 position, colour;
  friend bool operator==(const Corner&, const Corner&) = default;
};
struct PositionHash {
  std::size_t operator()(const Vec3& p) const {
    std::uint64_t hash = 0;
    for (std::size_t i = 0; i < 3; ++i)  // adding 0 makes -0 and 0 equal
      hash = (hash ^ std::bit_cast<std::uint32_t>(p[i] + 0.0f)) * 0x9E3779B97F4A7C15ull;
    return std::size_t(hash ^ hash >> 32);
  }
};
struct CornerHash {
  std::size_t operator()(const Corner& c) const {
    return PositionHash()(c.position) * 31 + PositionHash()(c.colour);
  }
};

// The format has no shared vertices: equal ones become one.
template <class Key, class Hash>
class Welder {
 public:
  // Most vertices have six triangles, and most triangles three.
  explicit Welder(std::size_t triangles = 0) { known_.reserve(triangles / 2); }
  void add(const Key& a, const Key& b, const Key& c) { triangles_.push_back({index(a), index(b), index(c)}); }
  std::vector<std::array<std::uint32_t, 3>>&& triangles() { return std::move(triangles_); }
  const std::vector<Key>& vertices() const { return vertices_; }
  std::vector<Key>&& take_vertices() { return std::move(vertices_); }

 private:
  std::uint32_t index(const Key& key) {
    const auto [at, is_new] = known_.try_emplace(key, std::uint32_t(vertices_.size()));
    if (is_new) vertices_.push_back(key);
    return at->second;
  }

  std::vector<Key> vertices_;
  std::vector<std::array<std::uint32_t, 3>> triangles_;
  std::unordered_map<Key, std::uint32_t, Hash> known_;
};
using PositionWelder = Welder<Vec3, PositionHash>;
using ColourWelder = Welder<Corner, CornerHash>;

// The 16 bits behind each facet, which may hold a colour of 5 bits a channel.
unsigned attribute_of(std::span<const std::byte> facets, std::size_t at) {
  return std::to_integer<unsigned>(facets[at + 48]) | std::to_integer<unsigned>(facets[at + 49]) << 8;
}

// In the manner of VisCAM and SolidView: blue lowest, the highest bit set where it counts. In that of Magics,
// which names a colour for all in the header: red lowest, the highest bit set where that one counts.
class FacetColours {
 public:
  explicit FacetColours(std::span<const std::byte> header) {
    const std::string_view text = as_text(header.first(80));
    const std::size_t at = text.find("COLOR=");
    if (at == std::string_view::npos || at + 10 > text.size()) return;
    is_magics_ = true;
    for (std::size_t c = 0; c < 3; ++c) default_[c] = float(std::to_integer<int>(header[at + 6 + c])) / 255;
  }

  bool is_magics() const { return is_magics_; }
  Vec3 of(unsigned attribute) const {
    const bool highest = (attribute & 0x8000) != 0;
    const auto channel = [&](int shift) { return float(attribute >> shift & 31) / 31; };
    if (is_magics_) return highest ? default_ : Vec3{channel(0), channel(5), channel(10)};
    return highest ? Vec3{channel(10), channel(5), channel(0)} : default_;
  }

 private:
  bool is_magics_ = false;
  Vec3 default_{1, 1, 1};
};

std::array<Vec3, 3> corners_of(std::span<const std::byte> facet) {
  std::array<Vec3, 3> corners;
  std::memcpy(corners.data(), facet.data() + sizeof(Vec3), sizeof corners);
  return corners;
}

Mesh read_coloured_facets(const FacetColours& colours, std::span<const std::byte> facets) {
  Mesh mesh;
  ColourWelder welder;
  for (std::size_t i = 0; i < facets.size(); i += kTriangleBytes) {
    const auto [a, b, c] = corners_of(facets.subspan(i));
    const Vec3 colour = colours.of(attribute_of(facets, i));
    welder.add({a, colour}, {b, colour}, {c, colour});
  }
  mesh.triangles = welder.triangles();
  for (const Corner& vertex : welder.vertices()) {
    mesh.positions.push_back(vertex.position);
    mesh.colours.push_back(vertex.colour);
  }
  return mesh;
}

Mesh read_facets(std::span<const std::byte> header, std::span<const std::byte> facets) {
  const FacetColours colours(header);
  if (colours.is_magics()) return read_coloured_facets(colours, facets);
  Mesh mesh;
  PositionWelder welder(facets.size() / kTriangleBytes);
  unsigned attributes = 0;
  for (std::size_t i = 0; i < facets.size(); i += kTriangleBytes) {
    const auto [a, b, c] = corners_of(facets.subspan(i));
    welder.add(a, b, c);
    attributes |= attribute_of(facets, i);
  }
  if ((attributes & 0x8000) != 0) return read_coloured_facets(colours, facets);
  mesh.triangles = welder.triangles();
  mesh.positions = welder.take_vertices();
  return mesh;
}

// Padding is zeros, and text makes numbers far beyond any mesh's.
bool are_triangles(std::span<const std::byte> bytes) {
  constexpr float kLeast = 1e-12f, kMost = 1e12f;
  for (std::size_t i = 0; i < bytes.size(); i += kTriangleBytes) {
    float values[12];
    std::memcpy(values, bytes.data() + i, sizeof values);
    for (const float value : values)
      if (!(value == 0 || (std::abs(value) > kLeast && std::abs(value) < kMost))) return false;
    const auto corner = [&](int c) { return Vec3{values[3 * c + 3], values[3 * c + 4], values[3 * c + 5]}; };
    if (corner(0) == corner(1) || corner(1) == corner(2) || corner(2) == corner(0)) return false;
  }
  return true;
}

// Some programs leave the count at 0 or at all ones, since they stream; others are wrong. The size tells.
Mesh read_binary(std::span<const std::byte> bytes, const std::string& name, ReadNotes& notes) {
  if (bytes.size() < kHeaderBytes)
    fail(ErrorKind::input, "cannot read STL ", name, ": it has ", bytes.size(),
         " bytes, fewer than a header. It is truncated, or no STL.");
  std::uint32_t promised = 0;
  std::memcpy(&promised, bytes.data() + kHeaderBytes - sizeof promised, sizeof promised);
  const std::size_t room = bytes.size() - kHeaderBytes, whole = room / kTriangleBytes,
                    rest = room % kTriangleBytes;
  const bool unset = promised == 0 || promised == UINT32_MAX;
  if (promised > whole && !(unset && whole > 0 && rest == 0))
    fail(ErrorKind::input, "cannot read STL ", name, ": its header promises ", promised,
         " triangles, and its ", bytes.size(), " bytes hold ", whole, ". It is truncated, or no STL.");
  // Behind those that are promised there may be more, or something else.
  const std::size_t read = unset || are_triangles(bytes.subspan(kHeaderBytes + promised * kTriangleBytes,
                                                                (whole - promised) * kTriangleBytes))
                               ? whole
                               : promised;
  if (read != promised)
    notes.add("is read to its end, whatever its header says",
              concat("it promises ", promised, " triangles, and ", whole, " are there"));
  notes.add("is read without the bytes behind its triangles",
            concat("it promises ", promised, " triangles, and there is room for ", whole),
            room - read * kTriangleBytes);
  return read_facets(bytes.first(kHeaderBytes), bytes.subspan(kHeaderBytes, read * kTriangleBytes));
}

// Blanks and line breaks before it are none of a binary file's.
bool is_text(std::string_view text) {
  constexpr std::size_t kLookedAt = 1024;
  if (text.substr(0, kLookedAt).find('\0') != std::string_view::npos) return false;
  const std::string_view word = next_word(text);
  return equal_words(word, "solid") || equal_words(word, "facet");
}

Mesh read_text(std::string_view text, const std::string& name, ReadNotes& notes) {
  PositionWelder welder;
  Vec3 corners[3];
  std::size_t held = 0;
  for (std::string_view line; next_line(text, line);) {
    const std::string_view word = next_word(line);
    if (equal_words(word, "vertex")) {
      if (held == 3) fail(ErrorKind::input, "cannot read STL ", name, ": a facet has more than 3 corners.");
      for (std::size_t c = 0; c < 3; ++c) {
        const auto value = parse_number<double>(next_word(line));
        if (!value) fail(ErrorKind::input, "cannot read STL ", name, ": a vertex is not three numbers.");
        corners[held][c] = float(*value);
      }
      ++held;
    } else if (equal_words(word, "endloop") ||
               (equal_words(word, "end") && equal_words(next_word(line), "loop"))) {
      if (held != 3)
        fail(ErrorKind::input, "cannot read STL ", name, ": a facet has ", held, " corners instead of 3.");
      welder.add(corners[0], corners[1], corners[2]);
      held = 0;
    } else if (equal_words(word, "color") || equal_words(word, "colour")) {
      notes.add("is read without its colours", "text has no agreed form of them");
    }
  }
  if (held != 0) fail(ErrorKind::input, "cannot read STL ", name, ": it ends inside a facet.");
  Mesh mesh;
  mesh.triangles = welder.triangles();
  mesh.positions = welder.take_vertices();
  return mesh;
}

}  // namespace

Mesh read_stl(std::span<const std::byte> bytes, const std::string& name, ReadNotes& notes) {
  std::string_view text = as_text(bytes);
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  Mesh mesh = is_text(text) ? read_text(text, name, notes) : read_binary(bytes, name, notes);
  finish_read_mesh(mesh, name, notes);
  return mesh;
}

}  // namespace omni::geometry
