#include <cstring>
#include <unordered_map>

#include "mesh_formats.h"
#include "omni/core/error.h"
#include "omni/core/random.h"
#include "text_scanner.h"

namespace omni::geometry {
namespace {

constexpr std::size_t kHeaderBytes = 84, kTriangleBytes = 50;

struct PositionHash {
  std::size_t operator()(const Vec3& p) const {
    const Vec3 positive_zero = p + Vec3{};
    return std::size_t(hash_string({reinterpret_cast<const char*>(&positive_zero), sizeof positive_zero}));
  }
};

// The format has no shared vertices: equal positions become one.
class Welder {
 public:
  void add(Vec3 a, Vec3 b, Vec3 c) { mesh_.triangles.push_back({index(a), index(b), index(c)}); }
  Mesh take() { return std::move(mesh_); }

 private:
  std::uint32_t index(Vec3 p) {
    const auto [at, is_new] = known_.try_emplace(p, std::uint32_t(mesh_.positions.size()));
    if (is_new) mesh_.positions.push_back(p);
    return at->second;
  }

  Mesh mesh_;
  std::unordered_map<Vec3, std::uint32_t, PositionHash> known_;
};

Mesh read_binary(std::span<const std::byte> bytes, std::size_t count) {
  Welder welder;
  for (std::size_t i = 0; i < count; ++i) {
    Vec3 corners[3];
    std::memcpy(corners, bytes.data() + kHeaderBytes + i * kTriangleBytes + sizeof(Vec3), sizeof corners);
    welder.add(corners[0], corners[1], corners[2]);
  }
  return welder.take();
}

Mesh read_ascii(std::string_view text, const std::string& name) {
  Welder welder;
  Vec3 corners[3];
  std::size_t held = 0;
  for (std::string_view line; next_line(text, line);) {
    const std::string_view word = next_word(line);
    if (word == "endloop") {
      if (held != 3)
        fail(ErrorKind::input, "cannot read STL ", name, ": a facet has ", held, " corners instead of 3.");
      welder.add(corners[0], corners[1], corners[2]);
      held = 0;
    }
    if (word != "vertex") continue;
    if (held == 3) fail(ErrorKind::input, "cannot read STL ", name, ": a facet has more than 3 corners.");
    for (std::size_t c = 0; c < 3; ++c) {
      const auto value = parse_number<double>(next_word(line));
      if (!value) fail(ErrorKind::input, "cannot read STL ", name, ": a vertex is not three numbers.");
      corners[held][c] = float(*value);
    }
    ++held;
  }
  if (held != 0) fail(ErrorKind::input, "cannot read STL ", name, ": it ends inside a facet.");
  return welder.take();
}

}  // namespace

Mesh read_stl(std::span<const std::byte> bytes, const std::string& name) {
  const std::string_view text = as_text(bytes);
  std::size_t count = 0;
  if (bytes.size() >= kHeaderBytes) {
    std::uint32_t stored;
    std::memcpy(&stored, bytes.data() + 80, sizeof stored);
    count = stored;
  }
  const bool fits = bytes.size() >= kHeaderBytes && count <= (bytes.size() - kHeaderBytes) / kTriangleBytes;
  const bool exact = fits && bytes.size() == kHeaderBytes + count * kTriangleBytes;
  // Binary files may begin with "solid" too, so an exact size decides first.
  const bool ascii = !exact && text.substr(0, 5) == "solid";
  if (!ascii && !fits)
    fail(ErrorKind::input, "cannot read STL ", name, ": its header promises ", count, " triangles, and ",
         bytes.size(), " bytes are too few for them. The file is truncated or no STL.");
  Mesh mesh = ascii ? read_ascii(text, name) : read_binary(bytes, count);
  finish_read_mesh(mesh, name);
  return mesh;
}

}  // namespace omni::geometry
