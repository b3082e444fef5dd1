#include <algorithm>
#include <cstring>
#include <unordered_map>
#include <unordered_set>

#include "omni/core/random.h"
#include "texture.h"

namespace omni::geometry {
namespace {

constexpr int kDeepestDivision = 5;
constexpr float kVisibleDifference = 0.08f;  // in sRGB, per channel

struct Corner {
  Vec3 position, normal, linear_colour{1, 1, 1};
  TextureCoordinate coordinate;
};
using Face = std::array<Corner, 3>;

Corner middle(const Corner& a, const Corner& b) {
  return {(a.position + b.position) * 0.5f,
          normalised(a.normal + b.normal),
          (a.linear_colour + b.linear_colour) * 0.5f,
          {(a.coordinate.u + b.coordinate.u) * 0.5f, (a.coordinate.v + b.coordinate.v) * 0.5f}};
}

float clamped_srgb(float linear) {
  return linear >= 1 ? 1.0f : linear > 0 ? image::linear_to_srgb(linear) : 0.0f;
}

Vec3 to_srgb(Vec3 linear) { return {clamped_srgb(linear.x), clamped_srgb(linear.y), clamped_srgb(linear.z)}; }

Vec3 linear_colour(const Corner& corner, const Material& material) {
  Vec3 colour = corner.linear_colour * material.factor;
  if (material.texture) colour = colour * material.texture->sample_linear(corner.coordinate);
  return colour;
}

bool visibly_different(Vec3 linear_a, Vec3 linear_b) {
  const Vec3 d = abs(to_srgb(linear_a) - to_srgb(linear_b));
  return std::max({d.x, d.y, d.z}) > kVisibleDifference;
}

// Compares what the corners would show at the middles of the edges and of the face with what the texture has
// there.
bool needs_division(const Face& face, const Material& material) {
  const Texture& texture = *material.texture;
  float longest = 0;
  for (std::size_t i = 0; i < 3; ++i) {
    const TextureCoordinate a = face[i].coordinate, b = face[(i + 1) % 3].coordinate;
    longest = std::max({longest, std::abs(a.u - b.u) * float(texture.image->width),
                        std::abs(a.v - b.v) * float(texture.image->height)});
  }
  if (!(longest > 2)) return false;
  const Vec3 shown[3] = {linear_colour(face[0], material), linear_colour(face[1], material),
                         linear_colour(face[2], material)};
  Corner centre = middle(face[0], face[1]);
  centre.linear_colour = (face[0].linear_colour + face[1].linear_colour + face[2].linear_colour) * (1 / 3.0f);
  centre.coordinate = {(face[0].coordinate.u + face[1].coordinate.u + face[2].coordinate.u) / 3,
                       (face[0].coordinate.v + face[1].coordinate.v + face[2].coordinate.v) / 3};
  if (visibly_different(linear_colour(centre, material), (shown[0] + shown[1] + shown[2]) * (1 / 3.0f)))
    return true;
  for (std::size_t i = 0; i < 3; ++i) {
    const std::size_t j = (i + 1) % 3;
    if (visibly_different(linear_colour(middle(face[i], face[j]), material), (shown[i] + shown[j]) * 0.5f))
      return true;
  }
  return false;
}

// An edge is told by its end points alone, so that both of its sides agree even where texture coordinates
// differ.
struct EdgeKey {
  std::array<std::uint32_t, 6> bits;
  EdgeKey(Vec3 a, Vec3 b) {
    const auto less = [](Vec3 p, Vec3 q) { return std::array{p.x, p.y, p.z} < std::array{q.x, q.y, q.z}; };
    if (less(b, a)) std::swap(a, b);
    a += Vec3{};  // turns -0 into 0
    b += Vec3{};
    std::memcpy(bits.data(), &a, sizeof a);
    std::memcpy(bits.data() + 3, &b, sizeof b);
  }
  friend bool operator==(const EdgeKey&, const EdgeKey&) = default;
};
struct BitsHash {
  template <class Key>
  std::size_t operator()(const Key& key) const {
    return std::size_t(hash_string(
        {reinterpret_cast<const char*>(key.bits.data()), key.bits.size() * sizeof(std::uint32_t)}));
  }
};
using EdgeSet = std::unordered_set<EdgeKey, BitsHash>;

// Splits a face at those of its edges that are marked; edge i runs from corner i to corner i + 1.
void split(const Face& face, const std::array<bool, 3>& marked, std::vector<Face>& out) {
  const int count = marked[0] + marked[1] + marked[2];
  if (count == 0) {
    out.push_back(face);
    return;
  }
  std::size_t first = 0;  // rotate so that the patterns below need only one orientation
  if (count == 1)
    while (!marked[first]) ++first;
  if (count == 2)
    while (marked[(first + 2) % 3]) ++first;
  const Corner &a = face[first], &b = face[(first + 1) % 3], &c = face[(first + 2) % 3];
  const Corner ab = middle(a, b);
  if (count == 1) {
    out.insert(out.end(), {Face{a, ab, c}, Face{ab, b, c}});
    return;
  }
  const Corner bc = middle(b, c);
  if (count == 2) {
    out.insert(out.end(), {Face{a, ab, c}, Face{ab, bc, c}, Face{ab, b, bc}});
    return;
  }
  const Corner ca = middle(c, a);
  out.insert(out.end(), {Face{a, ab, ca}, Face{ab, b, bc}, Face{ca, bc, c}, Face{ab, bc, ca}});
}

void divide(std::vector<Face>& faces, const Material& material, std::size_t budget) {
  for (int depth = 0; depth < kDeepestDivision; ++depth) {
    EdgeSet edges;
    for (const Face& face : faces) {
      if (faces.size() + edges.size() > budget) return;
      if (!needs_division(face, material)) continue;
      for (std::size_t i = 0; i < 3; ++i) edges.emplace(face[i].position, face[(i + 1) % 3].position);
    }
    if (edges.empty()) return;
    std::vector<Face> divided;
    divided.reserve(faces.size() * 2);
    for (const Face& face : faces) {
      std::array<bool, 3> marked{};
      for (std::size_t i = 0; i < 3; ++i)
        marked[i] = edges.contains(EdgeKey(face[i].position, face[(i + 1) % 3].position));
      split(face, marked, divided);
    }
    faces = std::move(divided);
  }
}

struct VertexKey {
  std::array<std::uint32_t, 9> bits;
  VertexKey(Vec3 position, Vec3 normal, Vec3 colour) {
    std::memcpy(bits.data(), &position, sizeof position);
    std::memcpy(bits.data() + 3, &normal, sizeof normal);
    std::memcpy(bits.data() + 6, &colour, sizeof colour);
  }
  friend bool operator==(const VertexKey&, const VertexKey&) = default;
};

Mesh weld(const std::vector<Face>& faces, const Material& material, bool with_normals) {
  Mesh mesh;
  std::unordered_map<VertexKey, std::uint32_t, BitsHash> known;
  mesh.triangles.reserve(faces.size());
  for (const Face& face : faces) {
    std::array<std::uint32_t, 3> triangle{};
    for (std::size_t i = 0; i < 3; ++i) {
      const Vec3 colour = to_srgb(linear_colour(face[i], material));
      const auto [at, is_new] = known.try_emplace(VertexKey(face[i].position, face[i].normal, colour),
                                                  std::uint32_t(mesh.positions.size()));
      if (is_new) {
        mesh.positions.push_back(face[i].position);
        mesh.colours.push_back(colour);
        if (with_normals) mesh.normals.push_back(face[i].normal);
      }
      triangle[i] = at->second;
    }
    mesh.triangles.push_back(triangle);
  }
  return mesh;
}

}  // namespace

Mesh bake_colours(const Primitive& primitive, const Material& material, std::size_t triangle_budget) {
  const bool textured = material.texture && !primitive.coordinates.empty();
  if (!textured) {
    Mesh mesh{primitive.positions, primitive.triangles, {}, primitive.normals};
    mesh.colours.reserve(mesh.positions.size());
    for (std::size_t i = 0; i < mesh.positions.size(); ++i)
      mesh.colours.push_back(to_srgb(primitive.linear_colours.empty()
                                         ? material.factor
                                         : primitive.linear_colours[i] * material.factor));
    return mesh;
  }
  std::vector<Face> faces;
  faces.reserve(primitive.triangles.size());
  for (const auto& triangle : primitive.triangles) {
    Face& face = faces.emplace_back();
    for (std::size_t i = 0; i < 3; ++i) {
      const std::uint32_t v = triangle[i];
      face[i].position = primitive.positions[v];
      if (!primitive.normals.empty()) face[i].normal = primitive.normals[v];
      if (!primitive.linear_colours.empty()) face[i].linear_colour = primitive.linear_colours[v];
      face[i].coordinate = primitive.coordinates[v];
    }
  }
  divide(faces, material, std::max(triangle_budget, 2 * faces.size()));
  return weld(faces, material, !primitive.normals.empty());
}

}  // namespace omni::geometry
