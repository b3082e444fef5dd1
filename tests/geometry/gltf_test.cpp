#include <gtest/gtest.h>

#include "allocation_peak.h"
#include "gltf_builder.h"
#include "omni/core/files.h"
#include "omni/core/json_text.h"
#include "omni/geometry/mesh_files.h"
#include "omni/image/image.h"
#include "temporary_directory.h"

namespace omni::geometry {
namespace {

using testing::GltfBuilder;
using testing::input_error;
using testing::Json;
using testing::kTriangle;
using testing::read_gltf;
using testing::to_bytes;

bool near(Vec3 a, Vec3 b, float tolerance = 1e-5f) { return length(a - b) < tolerance; }

TEST(Gltf, ReadsATriangleWithoutIndicesNodesOrMaterial) {
  GltfBuilder b;
  b.mesh({{"attributes", {{"POSITION", b.positions(kTriangle)}}}});
  const Mesh mesh = b.read();
  EXPECT_EQ(mesh.positions, kTriangle);
  ASSERT_EQ(mesh.triangles.size(), 1u);
  EXPECT_TRUE(mesh.colours.empty());
}

TEST(Gltf, HasColoursWhereSomethingNamesOne) {
  for (const bool named : {false, true}) {
    GltfBuilder b;
    const Json surface = named ? Json{{"baseColorFactor", {1, 1, 1, 1}}} : Json{{"metallicFactor", 0}};
    b.json["materials"] = Json::array({{{"pbrMetallicRoughness", surface}}});
    b.mesh({{"attributes", {{"POSITION", b.positions(kTriangle)}}}, {"material", 0}});
    EXPECT_EQ(b.read().colours.size(), named ? 3u : 0u);
  }
  const Mesh bare{.positions = kTriangle, .triangles = {{0, 1, 2}}, .colours = {}, .normals = {}};
  EXPECT_TRUE(decode_glb(encode_glb(bare), "bare.glb").colours.empty()) << "as it was written";
}

TEST(Gltf, AppliesTheHierarchyOfTransforms) {
  GltfBuilder b;
  const int m = b.mesh(
      {{"attributes",
        {{"POSITION", b.positions(kTriangle)}, {"NORMAL", b.positions({{0, 0, 1}, {0, 0, 1}, {0, 0, 1}})}}}});
  // A quarter turn about +Y takes +X to -Z and +Z to +X.
  b.node({{"translation", {10, 0, 0}}, {"rotation", {0, 0.70710678, 0, 0.70710678}}, {"children", {1}}});
  b.node({{"matrix", {2, 0, 0, 0, 0, 3, 0, 0, 0, 0, 1, 0, 0, 0, 5, 1}}, {"mesh", m}});
  b.json["scenes"] = {{{"nodes", {0}}}};
  const Mesh mesh = b.read();
  EXPECT_TRUE(near(mesh.positions[0], {15, 0, 0}));
  EXPECT_TRUE(near(mesh.positions[1], {15, 0, -2}));
  EXPECT_TRUE(near(mesh.positions[2], {15, 3, 0}));
  EXPECT_TRUE(near(mesh.normals[0], {1, 0, 0}));
}

TEST(Gltf, TurnsTrianglesOfMirroredNodes) {
  GltfBuilder b;
  const Mesh box = testing::box_mesh({1, 1, 1}, 1);
  std::vector<std::uint16_t> indices;
  for (const auto& t : box.triangles)
    for (const auto i : t) indices.push_back(std::uint16_t(i));
  const int m =
      b.mesh({{"attributes", {{"POSITION", b.positions(box.positions)}}}, {"indices", b.indices(indices)}});
  b.node({{"scale", {-1, 2, 1}}, {"mesh", m}});
  EXPECT_NEAR(b.read().signed_volume(), 16, 1e-5);
}

TEST(Gltf, JoinsPrimitivesMeshesAndInstances) {
  GltfBuilder b;
  const Json primitive = {{"attributes", {{"POSITION", b.positions(kTriangle)}}}};
  b.json["meshes"].push_back({{"primitives", {primitive, primitive}}});
  b.mesh(primitive);
  b.node({{"mesh", 0}});
  b.node({{"mesh", 1}, {"translation", {0, 0, 1}}});
  b.node({{"mesh", 1}, {"translation", {0, 0, 2}}});
  b.node({{"mesh", 1}});  // in no scene
  b.json["scenes"] = {{{"nodes", Json::array()}}, {{"nodes", {0, 1, 2}}}};
  b.json["scene"] = 1;
  EXPECT_EQ(b.read().triangles.size(), 4u);
}

TEST(Gltf, ReadsStripsAndFansWithOneOrientation) {
  const std::vector<Vec3> square = {{0, 0, 0}, {1, 0, 0}, {0, 1, 0}, {1, 1, 0}};
  for (const int mode : {5, 6}) {
    GltfBuilder b;
    b.mesh({{"attributes", {{"POSITION", b.positions(square)}}},
            {"indices", b.indices(mode == 5 ? std::vector<std::uint16_t>{0, 1, 2, 3}
                                            : std::vector<std::uint16_t>{0, 1, 3, 2})},
            {"mode", mode}});
    const Mesh mesh = b.read();
    ASSERT_EQ(mesh.triangles.size(), 2u);
    EXPECT_NEAR(mesh.surface_area(), 1, 1e-6);
    for (const auto& t : mesh.triangles)
      EXPECT_GT(
          cross(mesh.positions[t[1]] - mesh.positions[t[0]], mesh.positions[t[2]] - mesh.positions[t[0]]).z,
          0);
  }
}

TEST(Gltf, ReadsEveryKindOfVertexColour) {
  // Linear 0.5, 0.25, 1 in each encoding.
  const Vec3 expected{image::linear_to_srgb(0.5f), image::linear_to_srgb(0.25f), 1};
  const auto read_with = [&](auto&& add) {
    GltfBuilder b;
    const int p = b.positions(kTriangle);
    b.mesh({{"attributes", {{"POSITION", p}, {"COLOR_0", add(b)}}}});
    return b.read().colours[2];
  };
  std::vector<float> floats3, floats4;
  std::vector<std::uint8_t> bytes4;
  std::vector<std::uint16_t> shorts4;
  for (int i = 0; i < 3; ++i) {
    floats3.insert(floats3.end(), {0.5f, 0.25f, 1});
    floats4.insert(floats4.end(), {0.5f, 0.25f, 1, 0.3f});
    bytes4.insert(bytes4.end(), {128, 64, 255, 0});
    shorts4.insert(shorts4.end(), {32768, 16384, 65535, 0});
  }
  EXPECT_TRUE(near(read_with([&](auto& b) { return b.accessor(floats3, 5126, "VEC3", 3); }), expected));
  EXPECT_TRUE(near(read_with([&](auto& b) { return b.accessor(floats4, 5126, "VEC4", 3); }), expected));
  EXPECT_TRUE(
      near(read_with([&](auto& b) { return b.accessor(bytes4, 5121, "VEC4", 3, true); }), expected, 0.005f));
  EXPECT_TRUE(
      near(read_with([&](auto& b) { return b.accessor(shorts4, 5123, "VEC4", 3, true); }), expected, 1e-4f));
}

TEST(Gltf, MultipliesFactorAndVertexColourInLinearLight) {
  GltfBuilder b;
  const int p = b.positions(kTriangle), c = b.positions({{0.5f, 1, 1}, {0.5f, 1, 1}, {0.5f, 1, 1}});
  b.json["materials"] = {{{"pbrMetallicRoughness", {{"baseColorFactor", {0.5, 0.25, 0, 1}}}}}};
  b.mesh({{"attributes", {{"POSITION", p}, {"COLOR_0", c}}}, {"material", 0}});
  EXPECT_TRUE(near(b.read().colours[0], {image::linear_to_srgb(0.25f), image::linear_to_srgb(0.25f), 0}));
}

TEST(Gltf, ReadsSparseAccessorsWithAndWithoutABase) {
  for (const bool with_base : {true, false}) {
    GltfBuilder b;
    int p = b.positions({{2, 0, 0}, {9, 9, 9}, {0, 1, 0}});
    const Json sparse = {
        {"count", 2},
        {"indices", {{"bufferView", b.view<std::uint16_t>({1, 2})}, {"componentType", 5123}}},
        {"values", {{"bufferView", b.view<Vec3>({{1, 0, 0}, {0, 7, 0}})}}}};
    Json& accessor = b.json["accessors"][std::size_t(p)];
    accessor["sparse"] = sparse;
    if (!with_base) accessor.erase("bufferView");
    b.mesh({{"attributes", {{"POSITION", p}}}});
    const Mesh mesh = b.read();
    EXPECT_EQ(mesh.positions[2], (Vec3{0, 7, 0}));
    EXPECT_EQ(mesh.positions[1], (Vec3{1, 0, 0}));
    EXPECT_EQ(mesh.positions[0], with_base ? (Vec3{2, 0, 0}) : Vec3{});
  }
}

TEST(Gltf, ReadsInterleavedAndQuantisedPositions) {
  GltfBuilder b;
  struct Vertex {
    std::int16_t x, y, z, unused;
    float padding;
  };
  const int view = b.view<Vertex>({{0, 0, 0, 9, 0}, {32767, 0, 0, 9, 0}, {0, -32767, 0, 9, 0}});
  b.json["bufferViews"][std::size_t(view)]["byteStride"] = sizeof(Vertex);
  b.json["accessors"] = {
      {{"bufferView", view}, {"componentType", 5122}, {"count", 3}, {"type", "VEC3"}, {"normalized", true}}};
  b.mesh({{"attributes", {{"POSITION", 0}}}});
  EXPECT_EQ(b.read().positions[2], (Vec3{0, -1, 0}));
}

// A builder with a textured triangle whose corners have the given coordinates.
GltfBuilder textured(const std::vector<float>& coordinates, const Json& image) {
  GltfBuilder b;
  const int p = b.positions(kTriangle), t = b.accessor(coordinates, 5126, "VEC2", 3);
  b.json["images"] = Json::array({image});
  b.json["textures"] = {{{"source", 0}, {"sampler", 0}}};
  b.json["samplers"] = Json::array({Json::object()});
  b.json["materials"] = {{{"pbrMetallicRoughness", {{"baseColorTexture", {{"index", 0}}}}}}};
  b.mesh({{"attributes", {{"POSITION", p}, {"TEXCOORD_0", t}}}, {"material", 0}});
  return b;
}

image::Image four_colours() {  // 8 x 8: red and green above, blue and yellow below
  image::Image picture(8, 8, 3, 0);
  for (int y = 0; y < 8; ++y)
    for (int x = 0; x < 8; ++x) {
      std::uint8_t* p = picture.at(x, y);
      if (y < 4)
        p[x < 4 ? 0 : 1] = 255;
      else if (x < 4)
        p[2] = 255;
      else
        p[0] = p[1] = 255;
    }
  return picture;
}

Json picture_uri(const image::Image& picture) {
  return {{"uri", "data:image/png;base64," + testing::base64(image::encode_png(picture))}};
}

TEST(GltfTexture, GivesItsSrgbColoursToVertices) {
  const Json image = picture_uri(four_colours());
  EXPECT_TRUE(near(textured({0.25f, 0.25f, 0.25f, 0.25f, 0.25f, 0.25f}, image).read().colours[0], {1, 0, 0}));
  EXPECT_TRUE(near(textured({0.75f, 0.25f, 0.75f, 0.25f, 0.75f, 0.25f}, image).read().colours[0], {0, 1, 0}));
  EXPECT_TRUE(near(textured({0.25f, 0.75f, 0.25f, 0.75f, 0.25f, 0.75f}, image).read().colours[0], {0, 0, 1}));
  image::Image grey(4, 4, 3, 100);
  EXPECT_NEAR(textured({0, 0, 1, 0, 0, 1}, picture_uri(grey)).read().colours[0].x, 100 / 255.0, 1e-4);
}

TEST(GltfTexture, FollowsWrapModes) {
  const std::vector<float> outside = {1.25f, 0.25f, 1.25f, 0.25f, 1.25f, 0.25f};
  const auto colour_with = [&](int mode) {
    GltfBuilder b = textured(outside, picture_uri(four_colours()));
    b.json["samplers"][0] = {{"wrapS", mode}, {"wrapT", mode}};
    return b.read().colours[0];
  };
  EXPECT_TRUE(near(colour_with(10497), {1, 0, 0}));  // repeat: 0.25
  EXPECT_TRUE(near(colour_with(33071), {0, 1, 0}));  // clamp: the right edge
  EXPECT_TRUE(near(colour_with(33648), {0, 1, 0}));  // mirror: 0.75
}

TEST(GltfTexture, DividesTrianglesWhereThePictureChangesInside) {
  GltfBuilder b = textured({0, 0, 1, 0, 0, 1}, picture_uri(four_colours()));
  const Mesh mesh = b.read();
  EXPECT_GT(mesh.triangles.size(), 15u);
  EXPECT_NEAR(mesh.surface_area(), 0.5, 1e-5);
  // The picture lies over the triangle: u along x, v along y. Away from the borders every vertex has its
  // colour.
  for (std::size_t i = 0; i < mesh.positions.size(); ++i) {
    const Vec3 p = mesh.positions[i];
    if (std::abs(p.x - 0.5f) < 0.1f || std::abs(p.y - 0.5f) < 0.1f || p.x < 0.1f || p.y < 0.1f) continue;
    const Vec3 expected = p.y < 0.5f ? (p.x < 0.5f ? Vec3{1, 0, 0} : Vec3{0, 1, 0}) : Vec3{0, 0, 1};
    EXPECT_TRUE(near(mesh.colours[i], expected, 0.02f)) << p.x << ' ' << p.y;
  }
}

TEST(GltfTexture, DividingKeepsAClosedMeshClosed) {
  GltfBuilder b;
  const Mesh box = testing::box_mesh({1, 1, 1}, 2);
  std::vector<std::uint16_t> indices;
  for (const auto& t : box.triangles)
    for (const auto i : t) indices.push_back(std::uint16_t(i));
  std::vector<float> coordinates;
  for (const Vec3& p : box.positions)
    coordinates.insert(coordinates.end(), {p.x * 0.4f + 0.5f, p.y * 0.3f + p.z * 0.2f + 0.5f});
  const int p = b.positions(box.positions);
  const int t = b.accessor(coordinates, 5126, "VEC2", box.positions.size());
  b.json["images"] = Json::array({picture_uri(four_colours())});
  b.json["textures"] = {{{"source", 0}}};
  b.json["materials"] = {{{"pbrMetallicRoughness", {{"baseColorTexture", {{"index", 0}}}}}}};
  b.mesh({{"attributes", {{"POSITION", p}, {"TEXCOORD_0", t}}},
          {"indices", b.indices(indices)},
          {"material", 0}});
  const Mesh mesh = b.read();
  EXPECT_GT(mesh.triangles.size(), box.triangles.size());
  EXPECT_NEAR(mesh.signed_volume(), 8, 1e-4);
  // Every edge, told by its end points, is used once in each direction.
  std::map<std::array<float, 6>, int> uses;
  for (const auto& triangle : mesh.triangles)
    for (std::size_t i = 0; i < 3; ++i) {
      const Vec3 a = mesh.positions[triangle[i]], c = mesh.positions[triangle[(i + 1) % 3]];
      const bool forward = std::array{a.x, a.y, a.z} < std::array{c.x, c.y, c.z};
      uses[forward ? std::array{a.x, a.y, a.z, c.x, c.y, c.z} : std::array{c.x, c.y, c.z, a.x, a.y, a.z}] +=
          forward ? 1 : -1;
    }
  for (const auto& [edge, balance] : uses) EXPECT_EQ(balance, 0);
}

TEST(GltfTexture, SurvivesAMissingPictureWithTheFactorAlone) {
  const test::TemporaryDirectory folder;
  GltfBuilder b = textured({0, 0, 1, 0, 0, 1}, {{"uri", "missing.png"}});
  b.json["materials"][0]["pbrMetallicRoughness"]["baseColorFactor"] = {0, 1, 0, 1};
  EXPECT_TRUE(near(b.read(folder.path()).colours[0], {0, 1, 0}));
}

TEST(GltfTexture, ReadsPicturesFromBufferViewsAndFiles) {
  const test::TemporaryDirectory folder;
  image::write_png(folder / "a picture.png", image::Image(4, 4, 3, 100));
  EXPECT_NEAR(textured({0, 0, 1, 0, 0, 1}, {{"uri", "a%20picture.png"}}).read(folder.path()).colours[0].y,
              100 / 255.0, 1e-4);
  GltfBuilder b = textured({0, 0, 1, 0, 0, 1}, {{"mimeType", "image/png"}});
  b.json["images"][0]["bufferView"] = b.view(image::encode_png(image::Image(4, 4, 3, 50)));
  EXPECT_NEAR(b.read().colours[0].z, 50 / 255.0, 1e-4);
}

TEST(GltfFiles, ReadsABufferBesideItAndLongerThanNeeded) {
  const test::TemporaryDirectory folder;
  GltfBuilder b;
  b.mesh({{"attributes", {{"POSITION", b.positions(kTriangle)}}}});
  std::vector<std::byte> data = b.data();
  b.json["buffers"] = {{{"byteLength", data.size()}, {"uri", "data.bin"}}};
  data.resize(data.size() + 100);
  write_file_atomically(folder / "data.bin", std::span<const std::byte>(data));
  write_file_atomically(folder / "mesh.gltf", std::string_view(json_text(b.json)));
  EXPECT_EQ(read_mesh(folder / "mesh.gltf").positions, kTriangle);
}

TEST(GltfFiles, RefusesToLeaveItsFolder) {
  const test::TemporaryDirectory outside, folder;
  write_file_atomically(outside / "secret.bin", std::string_view("0123456789012345678901234567890123456789"));
  std::filesystem::create_symlink(outside / "secret.bin", folder / "link.bin");
  for (const std::string& uri :
       {std::string("../secret.bin"), (outside / "secret.bin").string(), std::string("a/../../b.bin"),
        std::string("%2e%2e/secret.bin"), std::string("link.bin"), std::string("file:///etc/passwd"),
        std::string("..\\secret.bin"), std::string("https://host/a.bin")}) {
    GltfBuilder b;
    b.mesh({{"attributes", {{"POSITION", b.positions(kTriangle)}}}});
    b.json["buffers"] = {{{"byteLength", 36}, {"uri", uri}}};
    const std::string message =
        input_error([&] { read_gltf(to_bytes(json_text(b.json)), "case.gltf", folder.path()); });
    EXPECT_NE(message.find("Only files in the mesh's own folder"), std::string::npos)
        << uri << ": " << message;
  }
}

// What becomes of a valid document after one change.
std::string error_after(const std::function<void(Json&)>& change) {
  GltfBuilder b;
  const int p = b.positions(kTriangle), i = b.indices({0, 1, 2});
  const int m = b.mesh({{"attributes", {{"POSITION", p}}}, {"indices", i}});
  b.node({{"mesh", m}});
  b.json["scenes"] = {{{"nodes", {0}}}};
  b.embedded();
  change(b.json);
  return input_error([&] { read_gltf(to_bytes(json_text(b.json)), "case.gltf", {}); });
}

TEST(GltfErrors, NameTheFileAndTheProblem) {
  const std::vector<std::pair<std::function<void(Json&)>, const char*>> cases = {
      {[](Json&) {}, "no error"},
      {[](Json& j) { j["asset"]["version"] = "1.0"; }, "not glTF 2.0"},
      {[](Json& j) { j["accessors"][0]["count"] = 4; }, "leaves buffer view"},
      {[](Json& j) { j["accessors"][0]["count"] = 4000000000000000000; }, "vertices"},
      {[](Json& j) { j["accessors"][0]["count"] = -1; }, "impossible"},
      {[](Json& j) { j["accessors"][0]["byteOffset"] = 4; }, "leaves buffer view"},
      {[](Json& j) { j["accessors"][0]["bufferView"] = 9; }, "element 9"},
      {[](Json& j) {
         j["accessors"][0].erase("bufferView");
         j["accessors"][0]["count"] = 9000000000;
       },
       "without data"},
      {[](Json& j) { j["bufferViews"][0]["byteLength"] = 1000; }, "leaves its buffer"},
      {[](Json& j) { j["bufferViews"][0]["byteOffset"] = -4; }, "leaves its buffer"},
      {[](Json& j) { j["bufferViews"][0]["byteStride"] = 4; }, "stride of 4"},
      {[](Json& j) { j["buffers"][0]["byteLength"] = 100000; }, "should have"},
      {[](Json& j) { j["buffers"][0]["uri"] = "data:application/octet-stream;base64,@@@@"; }, "base64"},
      {[](Json& j) { j["buffers"][0].erase("uri"); }, "no data"},
      {[](Json& j) { j["meshes"][0]["primitives"][0]["attributes"]["POSITION"] = 5; }, "element 5"},
      {[](Json& j) { j["meshes"][0]["primitives"][0]["attributes"]["POSITION"] = "0"; }, "integer"},
      {[](Json& j) { j["meshes"][0]["primitives"][0]["mode"] = 1; }, "no faces"},
      {[](Json& j) { j["accessors"][1]["count"] = 2; }, "no faces"},
      {[](Json& j) { j["accessors"][1]["componentType"] = 5126; }, "indices"},
      {[](Json& j) { j["nodes"][0]["children"] = {0}; }, "ancestor"},
      {[](Json& j) {
         j["nodes"][0]["matrix"] = {1, 2, 3};
       },
       "matrix"},
      {[](Json& j) { j["nodes"] = 7; }, "not an array"},
      {[](Json& j) { j["extensionsRequired"] = {"ACME_wavelet_mesh"}; }, "ACME_wavelet_mesh"},
      {[](Json& j) { j["meshes"][0]["primitives"][0]["material"] = 3; }, "element 3"},
  };
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const std::string message = error_after(cases[i].first);
    EXPECT_NE(message.find(cases[i].second), std::string::npos) << i << ": " << message;
    if (i > 0) EXPECT_NE(message.find("case.gltf"), std::string::npos) << i << ": " << message;
  }
}

TEST(GltfErrors, RefusesBadIndicesAndPositions) {
  GltfBuilder bad_index;
  const int p = bad_index.positions(kTriangle);
  bad_index.mesh({{"attributes", {{"POSITION", p}}}, {"indices", bad_index.indices({0, 1, 3})}});
  EXPECT_NE(input_error([&] { bad_index.read(); }).find("vertex 3 of 3"), std::string::npos);
  GltfBuilder bad_position;
  bad_position.mesh(
      {{"attributes", {{"POSITION", bad_position.positions({{0, 0, 0}, {1, NAN, 0}, {0, 1, 0}})}}}});
  EXPECT_NE(input_error([&] { bad_position.read(); }).find("finite"), std::string::npos);
}

TEST(GltfErrors, SurvivesDeepNesting) {
  const std::string deep = "{\"asset\":{\"version\":\"2.0\"},\"extras\":" + std::string(2000000, '[');
  EXPECT_NE(input_error([&] { read_gltf(to_bytes(deep), "deep.gltf", {}); }).find("levels deep"),
            std::string::npos);
}

TEST(GltfErrors, LimitsHowOftenAMeshIsRepeated) {
  GltfBuilder b;
  b.json["accessors"] = {{{"componentType", 5126}, {"count", 60000}, {"type", "VEC3"}}};
  const int i = b.indices({0, 1, 2});
  const Json primitive = {{"attributes", {{"POSITION", 0}}}, {"indices", i}};
  b.json["meshes"] = {{{"primitives", std::vector<Json>(50, primitive)}}};
  EXPECT_NE(input_error([&] { b.read(); }).find("more than"), std::string::npos);
}

TEST(GltfErrors, FindsCyclesOfAnyLength) {
  for (const int length : {1, 2, 5}) {
    GltfBuilder b;
    const int m = b.mesh({{"attributes", {{"POSITION", b.positions(kTriangle)}}}});
    for (int i = 0; i < length; ++i) b.node({{"mesh", m}, {"children", {(i + 1) % length}}});
    b.json["scenes"] = {{{"nodes", {0}}}};
    EXPECT_NE(input_error([&] { b.read(); }).find("its own ancestor"), std::string::npos) << length;
    b.json.erase("scenes");  // then no node is a root, and nothing is drawn
    EXPECT_NE(input_error([&] { b.read(); }).find("no faces"), std::string::npos) << length;
  }
}

// 33 kilobytes that are, in earnest, 16,384 x 16,384 pixels of one colour.
TEST(GltfErrors, ATextureBeyondTheLimitIsLeftOutUndecoded) {
  const auto png =
      read_file_bytes(std::string(OMNI_SOURCE_DIR) + "/tests/fuzz/corpus/image/too_many_pixels.png");
  GltfBuilder b = textured({0, 0, 1, 0, 0, 1}, {{"uri", "data:image/png;base64," + testing::base64(png)}});
  const test::AllocationPeak peak;
  EXPECT_EQ(b.read().triangles.size(), 1u);
  EXPECT_LT(peak.bytes(), std::size_t{4} << 20);
}

// What a file of a kilobyte claims to hold does not decide what is allocated.
TEST(GltfErrors, GigabytesClaimedInAKilobyteAllocateNothing) {
  const auto peak_of = [](const std::function<void(Json&)>& change) {
    GltfBuilder b;
    const int p = b.positions(kTriangle);
    b.mesh({{"attributes", {{"POSITION", p}}}, {"indices", b.indices({0, 1, 2})}});
    b.embedded();
    change(b.json);
    const auto bytes = to_bytes(json_text(b.json));
    const test::AllocationPeak peak;
    EXPECT_NE(input_error([&] { read_gltf(bytes, "case.gltf", {}); }), "no error");
    return peak.bytes();
  };
  static constexpr std::int64_t kFourGigabytes = std::int64_t{1} << 32;
  constexpr std::size_t kSmall = std::size_t{1} << 20;
  EXPECT_LT(peak_of([](Json& j) { j["buffers"][0]["byteLength"] = kFourGigabytes; }), kSmall);
  EXPECT_LT(peak_of([](Json& j) { j["bufferViews"][0]["byteLength"] = kFourGigabytes; }), kSmall);
  EXPECT_LT(peak_of([](Json& j) { j["accessors"][0]["count"] = kFourGigabytes / 12; }), kSmall);
  EXPECT_LT(peak_of([](Json& j) {
              j["accessors"][0].erase("bufferView");
              j["accessors"][0]["count"] = kFourGigabytes / 12;
            }),
            kSmall);
  EXPECT_LT(peak_of([](Json& j) {
              j["accessors"][0]["sparse"] = {{"count", kFourGigabytes},
                                             {"indices", {{"bufferView", 1}, {"componentType", 5123}}},
                                             {"values", {{"bufferView", 0}}}};
            }),
            kSmall);
  auto glb = encode_glb(testing::box_mesh({1, 1, 1}, 1));
  const std::uint32_t claimed = 0xffffffff;
  std::memcpy(glb.data() + 8, &claimed, sizeof claimed);
  const test::AllocationPeak peak;
  EXPECT_NE(input_error([&] { decode_glb(glb, "claims.glb"); }).find("promises 4294967295"),
            std::string::npos);
  EXPECT_LT(peak.bytes(), kSmall);
}

}  // namespace
}  // namespace omni::geometry
