#include <algorithm>
#include <array>
#include <cstring>
#include <unordered_map>

#include "mesh_formats.h"
#include "omni/core/error.h"
#include "omni/core/random.h"
#include "text_scanner.h"

namespace omni::geometry {
namespace {

constexpr std::size_t kHeaderBytes = 84, kTriangleBytes = 50;

// A corner of a facet; without colours all have the same one.
struct Corner {
  Vec3 position, colour;
  friend bool operator==(const Corner&, const Corner&) = default;
};
struct CornerHash {
  std::size_t operator()(const Corner& c) const {
    const Corner positive_zero{c.position + Vec3{}, c.colour};
    return std::size_t(hash_string({reinterpret_cast<const char*>(&positive_zero), sizeof positive_zero}));
  }
};
struct PositionHash {
  std::size_t operator()(const Vec3& p) const {
    const Vec3 positive_zero = p + Vec3{};
    return std::size_t(hash_string({reinterpret_cast<const char*>(&positive_zero), sizeof positive_zero}));
  }
};

// The format has no shared vertices: equal ones become one.
template <class Key, class Hash>
class Welder {
 public:
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

// The 16 bits behind each facet hold a colour of 5 bits a channel in the manner of one of two programs.
class FacetColours {
 public:
  // `facets`: whole facets behind the header.
  FacetColours(std::span<const std::byte> header, std::span<const std::byte> facets) {
    const std::string_view text = as_text(header.first(80));
    const std::size_t at = text.find("COLOR=");
    if (at != std::string_view::npos && at + 10 <= 80) {
      manner_ = Manner::magics;
      for (std::size_t c = 0; c < 3; ++c) default_[c] = float(std::to_integer<int>(header[at + 6 + c])) / 255;
      return;
    }
    for (std::size_t i = 0; i + kTriangleBytes <= facets.size(); i += kTriangleBytes)
      if (has_own_bit(facets.subspan(i + 48))) manner_ = Manner::viscam;
  }

  bool any() const { return manner_ != Manner::none; }
  Vec3 of(std::span<const std::byte> facet) const {
    const unsigned bits = attribute(facet.subspan(48));
    const bool own = (bits & 0x8000) != 0;
    const auto channel = [&](int shift) { return float(bits >> shift & 31) / 31; };
    if (manner_ == Manner::viscam) return own ? Vec3{channel(10), channel(5), channel(0)} : default_;
    return own ? default_ : Vec3{channel(0), channel(5), channel(10)};
  }

 private:
  // Of VisCAM and SolidView: blue lowest, the highest bit set where it counts. Of Magics: red lowest, the
  // highest bit set where the colour in the header counts.
  enum class Manner { none, viscam, magics };

  static unsigned attribute(std::span<const std::byte> bytes) {
    return std::to_integer<unsigned>(bytes[0]) | std::to_integer<unsigned>(bytes[1]) << 8;
  }
  static bool has_own_bit(std::span<const std::byte> bytes) { return (attribute(bytes) & 0x8000) != 0; }

  Manner manner_ = Manner::none;
  Vec3 default_{1, 1, 1};
};

std::array<Vec3, 3> corners_of(std::span<const std::byte> facet) {
  std::array<Vec3, 3> corners;
  std::memcpy(corners.data(), facet.data() + sizeof(Vec3), sizeof corners);
  return corners;
}

Mesh read_facets(std::span<const std::byte> header, std::span<const std::byte> facets) {
  const FacetColours colours(header, facets);
  Mesh mesh;
  if (!colours.any()) {
    PositionWelder welder;
    for (std::size_t i = 0; i < facets.size(); i += kTriangleBytes) {
      const auto [a, b, c] = corners_of(facets.subspan(i));
      welder.add(a, b, c);
    }
    mesh.triangles = welder.triangles();
    mesh.positions = welder.take_vertices();
    return mesh;
  }
  ColourWelder welder;
  for (std::size_t i = 0; i < facets.size(); i += kTriangleBytes) {
    const auto [a, b, c] = corners_of(facets.subspan(i));
    const Vec3 colour = colours.of(facets.subspan(i));
    welder.add({a, colour}, {b, colour}, {c, colour});
  }
  mesh.triangles = welder.triangles();
  for (const Corner& vertex : welder.vertices()) {
    mesh.positions.push_back(vertex.position);
    mesh.colours.push_back(vertex.colour);
  }
  return mesh;
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
  const std::size_t count = rest == 0 || unset ? whole : promised;
  if (count != promised)
    notes.add("is read to its end, whatever its header says",
              concat("it promises ", promised, " triangles, and ", count, " are there"));
  else if (rest != 0 || whole != promised)
    notes.add("is read without the bytes behind its triangles",
              concat("its header promises ", promised, " triangles"), room - count * kTriangleBytes);
  return read_facets(bytes.first(kHeaderBytes), bytes.subspan(kHeaderBytes, count * kTriangleBytes));
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
