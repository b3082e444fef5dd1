// What of a glTF document stands where, and what is drawn at all.
#include <gtest/gtest.h>

#include <limits>

#include "gltf_builder.h"
#include "omni/core/files.h"
#include "omni/core/json_text.h"
#include "omni/geometry/mesh_files.h"
#include "omni/image/image.h"
#include "temporary_directory.h"
#include "texture_files.h"

namespace omni::geometry {
namespace {

using testing::base64;
using testing::GltfBuilder;
using testing::input_error;
using testing::Json;
using testing::kTriangle;
using testing::to_bytes;

bool near(Vec3 a, Vec3 b, float tolerance = 1e-5f) { return length(a - b) < tolerance; }

std::vector<std::uint16_t> indices_of(const Mesh& mesh) {
  std::vector<std::uint16_t> indices;
  for (const auto& t : mesh.triangles)
    for (const auto i : t) indices.push_back(std::uint16_t(i));
  return indices;
}

// A box of side 1 at the origin's positive corner; returns the number of the mesh.
int add_box(GltfBuilder& b, Vec3 offset = {}) {
  Mesh box = testing::box_mesh({0.5f, 0.5f, 0.5f}, 1);
  for (Vec3& p : box.positions) p += Vec3{0.5f, 0.5f, 0.5f} + offset;
  return b.mesh(
      {{"attributes", {{"POSITION", b.positions(box.positions)}}}, {"indices", b.indices(indices_of(box))}});
}

TEST(GltfInstancing, RepeatsAMeshUnderItsNode) {
  for (const bool required : {false, true}) {
    GltfBuilder b;
    const int box = add_box(b);
    const int where = b.positions({{0, 0, 0}, {3, 0, 0}, {6, 0, 0}}),
              size = b.positions({{1, 1, 1}, {1, 2, 1}, {1, 3, 1}});
    const int turn =
        b.accessor<std::int8_t>({0, 0, 0, 127, 0, 0, 0, 127, 0, 127, 0, 0}, 5120, "VEC4", 3, true);
    b.node({{"mesh", box},
            {"scale", {2, 2, 2}},
            {"extensions",
             {{"EXT_mesh_gpu_instancing",
               {{"attributes", {{"TRANSLATION", where}, {"SCALE", size}, {"ROTATION", turn}}}}}}}});
    b.json[required ? "extensionsRequired" : "extensionsUsed"] = {"EXT_mesh_gpu_instancing"};
    const Mesh mesh = b.read();
    EXPECT_EQ(mesh.triangles.size(), 36u);
    EXPECT_NEAR(mesh.signed_volume(), 8 * (1 + 2 + 3), 1e-4);
    const Bounds bounds = mesh.bounds();
    EXPECT_TRUE(near(bounds.low, {0, 0, -2}) && near(bounds.high, {12, 6, 2}))
        << "the third is turned by half about Y: " << bounds.high.x;
  }
}

TEST(GltfInstancing, RefusesWhatDoesNotFit) {
  const auto refusal = [](const Json& attributes) {
    GltfBuilder b;
    const int box = add_box(b);
    b.positions({{0, 0, 0}, {1, 0, 0}});
    b.positions({{0, 0, 0}});
    b.node({{"mesh", box}, {"extensions", {{"EXT_mesh_gpu_instancing", {{"attributes", attributes}}}}}});
    return input_error([&] { b.read(); });
  };
  EXPECT_NE(refusal({{"TRANSLATION", 2}, {"SCALE", 3}}).find("differ in length"), std::string::npos);
  EXPECT_NE(refusal({{"ROTATION", 2}}).find("ROTATION"), std::string::npos);
  EXPECT_NE(refusal({{"TRANSLATION", 9}}).find("element 9"), std::string::npos);
  GltfBuilder b;  // a kilobyte that asks for sixty thousand
  const int box = add_box(b);
  b.json["accessors"].push_back({{"componentType", 5126}, {"count", 60000}, {"type", "VEC3"}});
  b.node(
      {{"mesh", box}, {"extensions", {{"EXT_mesh_gpu_instancing", {{"attributes", {{"TRANSLATION", 2}}}}}}}});
  EXPECT_NE(input_error([&] { b.read(); }).find("more than"), std::string::npos);
}

TEST(GltfExtensions, OfGeometryAreReadOrRefusedByName) {
  const auto read_with = [](const std::function<void(Json&)>& change) {
    GltfBuilder b;
    b.node({{"mesh", add_box(b)}});
    b.embedded();
    change(b.json);
    return input_error([&] { testing::read_gltf(to_bytes(json_text(b.json)), "case.gltf"); });
  };
  const Json something = {{"something", 1}};
  for (const char* name : {"EXT_new_shapes", "KHR_gaussian_splatting", "ACME_displacement"}) {
    for (const auto& change : std::vector<std::function<void(Json&)>>{
             [&](Json& j) { j["extensionsRequired"] = {name}; },
             [&](Json& j) { j["meshes"][0]["primitives"][0]["extensions"][name] = something; },
             [&](Json& j) { j["meshes"][0]["extensions"][name] = something; },
             [&](Json& j) { j["accessors"][0]["extensions"][name] = something; },
             [&](Json& j) { j["bufferViews"][0]["extensions"][name] = something; },
             [&](Json& j) { j["buffers"][0]["extensions"][name] = something; }}) {
      const std::string message = read_with(change);
      EXPECT_NE(message.find(name), std::string::npos) << message;
    }
  }
  EXPECT_NE(read_with([&](Json& j) {
              j["nodes"][0]["extensions"]["EXT_node_shapes"] = something;
            }).find("EXT_node"),
            std::string::npos);
  for (const char* name :
       {"KHR_materials_unlit", "KHR_texture_basisu", "EXT_mesh_features", "KHR_xmp_json_ld",
        "KHR_mesh_quantization", "KHR_draco_mesh_compression", "KHR_lights_punctual"})
    EXPECT_EQ(read_with([&](Json& j) { j["extensionsRequired"] = {name}; }), "no error") << name;
  EXPECT_EQ(read_with([&](Json& j) { j["extensionsUsed"] = {"EXT_new_shapes"}; }), "no error")
      << "and nowhere used";
  EXPECT_EQ(read_with([&](Json& j) {
              j["materials"] = {{{"extensions", {{"ACME_paint", something}}}}};
            }),
            "no error");
  GltfBuilder b;
  b.node({{"mesh", add_box(b)}, {"extensions", {{"ACME_gameplay", something}}}});
  ASSERT_EQ(b.warnings().size(), 1u);
  EXPECT_NE(b.warnings()[0].find("ACME_gameplay"), std::string::npos);
}

// One box of 100 x 100 x 200 about the Z axis, bound to one joint that stands 100 up, under an armature that
// brings it to metres and Y up.
GltfBuilder skinned(const std::function<void(GltfBuilder&, Json&)>& change = {}) {
  GltfBuilder b;
  Mesh box = testing::box_mesh({50, 50, 100}, 1);
  for (Vec3& p : box.positions) p.z += 100;
  const std::size_t n = box.positions.size();
  const int positions = b.positions(box.positions), indices = b.indices(indices_of(box));
  const int joints = b.accessor(std::vector<std::uint8_t>(4 * n, 0), 5121, "VEC4", n);
  std::vector<float> weights(4 * n, 0);
  for (std::size_t i = 0; i < n; ++i) weights[4 * i] = 0.5f;  // which do not sum to one
  const int weight = b.accessor(weights, 5126, "VEC4", n);
  const int bind = b.accessor<float>({1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, -100, 1}, 5126, "MAT4", 1);
  Json primitive = {{"attributes", {{"POSITION", positions}, {"JOINTS_0", joints}, {"WEIGHTS_0", weight}}},
                    {"indices", indices}};
  if (change) change(b, primitive);
  const int mesh = b.mesh(primitive);
  b.node(
      {{"scale", {0.01, 0.01, 0.01}}, {"rotation", {-0.70710678, 0, 0, 0.70710678}}, {"children", {1, 2}}});
  b.node({{"translation", {0, 0, 100}}});
  b.node({{"mesh", mesh}, {"skin", 0}, {"scale", {7, 7, 7}}});
  b.json["skins"] = Json::array({{{"joints", {1}}, {"inverseBindMatrices", bind}}});
  b.json["scenes"] = {{{"nodes", {0}}}};
  return b;
}

TEST(GltfSkin, StandsWhereItsJointsPutIt) {
  GltfBuilder b = skinned();
  const Bounds rest = b.read().bounds();
  EXPECT_TRUE(near(rest.extent(), {1, 2, 1}, 1e-4f)) << rest.extent().x << ' ' << rest.extent().y;
  EXPECT_TRUE(near(rest.low, {-0.5f, 0, -0.5f}, 1e-4f));
  EXPECT_GT(b.read().signed_volume(), 0);
  b.json["nodes"][0]["children"] = {1};  // the mesh at the root, where its scale of 7 does not count either
  b.json["scenes"] = {{{"nodes", {0, 2}}}};
  EXPECT_TRUE(near(b.read().bounds().extent(), {1, 2, 1}, 1e-4f));
  b.json["nodes"][1]["translation"] = {0, 0, 300};  // posed, not as bound
  EXPECT_TRUE(near(b.read().bounds().low, {-0.5f, 2, -0.5f}, 1e-4f));
  b.json["skins"][0].erase("inverseBindMatrices");
  EXPECT_TRUE(near(b.read().bounds().low, {-0.5f, 3, -0.5f}, 1e-4f));
  b.json["skins"][0]["joints"] = {1, 2, 0};
  b.json["skins"][0]["inverseBindMatrices"] = 4;
  EXPECT_NE(input_error([&] { b.read(); }).find("inverse bind"), std::string::npos);
}

TEST(GltfSkin, BlendsJointsAndKeepsWhatNamesNone) {
  // The second set of joints counts as the first does.
  GltfBuilder b = skinned([](GltfBuilder& builder, Json& primitive) {
    const std::size_t n = 24;
    std::vector<std::uint16_t> joints(4 * n, 1);
    std::vector<float> weights(4 * n, 0);
    for (std::size_t i = 0; i < n; ++i) weights[4 * i] = 0.5f;
    primitive["attributes"]["JOINTS_1"] = builder.accessor(joints, 5123, "VEC4", n);
    primitive["attributes"]["WEIGHTS_1"] = builder.accessor(weights, 5126, "VEC4", n);
  });
  b.node({{"translation", {2, 0, 0}}});
  b.json["skins"][0] = {{"joints", {1, 3}}};
  b.json["scenes"] = {{{"nodes", {0, 3}}}};
  // Half of a hundredth and half of the whole: (1.01 / 2) x 100 wide.
  EXPECT_NEAR(b.read().bounds().extent().x, 50.5, 1e-3);
  b.json["skins"][0] = {{"joints", {1}}};
  EXPECT_NE(input_error([&] { b.read(); }).find("joint 1 of 1"), std::string::npos);
  GltfBuilder plain =
      skinned([](GltfBuilder&, Json& primitive) { primitive["attributes"].erase("JOINTS_0"); });
  EXPECT_TRUE(near(plain.read().bounds().extent(), {7, 14, 7}, 1e-3f)) << "stands as its node does";
}

TEST(GltfMorph, RestsAtItsDefaultWeights) {
  GltfBuilder b;
  const int positions = b.positions(kTriangle), up = b.positions({{0, 0, 2}, {0, 0, 2}, {0, 0, 2}});
  const int wide = b.positions({{0, 0, 0}, {4, 0, 0}, {0, 0, 0}});
  const int m = b.mesh({{"attributes", {{"POSITION", positions}}},
                        {"targets", Json::array({{{"POSITION", up}}, {{"POSITION", wide}}})}});
  b.node({{"mesh", m}});
  EXPECT_EQ(b.read().positions, kTriangle) << "no weights are zeros";
  b.json["meshes"][0]["weights"] = {0.5, 0.25};
  EXPECT_TRUE(near(b.read().positions[1], {2, 0, 1}));
  b.json["nodes"][0]["weights"] = {1, 0};
  EXPECT_TRUE(near(b.read().positions[1], {1, 0, 2})) << "the node's come first";
  b.json["nodes"][0]["weights"] = {"a"};
  EXPECT_NE(input_error([&] { b.read(); }).find("weights"), std::string::npos);
}

TEST(GltfHidden, NeitherCountsNorStretchesTheBox) {
  const auto expect_one_box = [](GltfBuilder& b, const char* why) {
    const Mesh mesh = b.read();
    EXPECT_EQ(mesh.triangles.size(), 12u) << why;
    EXPECT_TRUE(near(mesh.bounds().extent(), {1, 1, 1})) << why;
    EXPECT_EQ(b.warnings().size(), 1u) << why;
  };
  for (const Json& scale : {Json{0, 0, 0}, Json{0, 1, 0}, Json{0, 0, 5}}) {
    GltfBuilder b;
    const int box = add_box(b);
    b.node({{"mesh", box}});
    b.node({{"scale", scale},
            {"translation", {9, 0, 0}},
            {"rotation", {0.1, 0.7, 0.1, 0.7}},
            {"children", {2}}});
    b.node({{"mesh", box}, {"rotation", {0.3, 0.2, 0.1, 0.9}}});
    b.json["scenes"] = {{{"nodes", {0, 1}}}};
    expect_one_box(b, "scaled to nothing");
  }
  GltfBuilder flat;
  flat.node({{"mesh", add_box(flat)}, {"scale", {1, 0, 1}}});
  EXPECT_EQ(flat.read().triangles.size(), 12u) << "a flat thing is drawn";
  GltfBuilder hidden;
  const int box = add_box(hidden), far = add_box(hidden, {5, 0, 0});
  hidden.node({{"mesh", box}});
  hidden.node({{"extensions", {{"KHR_node_visibility", {{"visible", false}}}}}, {"children", {2}}});
  hidden.node({{"mesh", far}, {"extensions", {{"KHR_node_visibility", {{"visible", true}}}}}});
  hidden.json["scenes"] = {{{"nodes", {0, 1}}}};
  expect_one_box(hidden, "hidden with its parent");
  hidden.json["nodes"][1]["extensions"]["KHR_node_visibility"]["visible"] = true;
  EXPECT_EQ(hidden.read().triangles.size(), 24u);
  GltfBuilder speck;
  speck.node({{"mesh", add_box(speck)}});
  speck.node({{"mesh", speck.mesh({{"attributes",
                                    {{"POSITION", speck.positions({{9, 9, 9}, {9, 9, 9}, {20, 9, 9}})}}}})}});
  expect_one_box(speck, "degenerate triangles alone");
  for (const Json& look : {Json{{"alphaMode", "BLEND"}}, Json{{"alphaMode", "MASK"}}}) {
    GltfBuilder clear;
    clear.node({{"mesh", add_box(clear)}});
    const int ghost = add_box(clear, {5, 0, 0});
    clear.json["meshes"][std::size_t(ghost)]["primitives"][0]["material"] = 0;
    Json material = look;
    material["pbrMetallicRoughness"]["baseColorFactor"] = {1, 1, 1, 0};
    clear.json["materials"] = Json::array({material});
    clear.node({{"mesh", ghost}});
    expect_one_box(clear, "transparent all over");
    clear.json["materials"][0].erase("alphaMode");
    EXPECT_EQ(clear.read().triangles.size(), 24u) << "alpha counts where it is asked for";
  }
}

TEST(GltfColour, EmissionShowsWhereNothingElseDoes) {
  const auto colour_of = [](const Json& material) {
    GltfBuilder b;
    b.json["materials"] = Json::array({material});
    b.mesh({{"attributes", {{"POSITION", b.positions(kTriangle)}}}, {"material", 0}});
    return b.read().colours[0];
  };
  const Json black = {{"baseColorFactor", {0, 0, 0, 1}}};
  EXPECT_TRUE(near(colour_of({{"pbrMetallicRoughness", black}, {"emissiveFactor", {1, 0, 0}}}), {1, 0, 0}));
  EXPECT_TRUE(near(colour_of({{"pbrMetallicRoughness", black}}), {0, 0, 0}));
  EXPECT_TRUE(near(colour_of({{"pbrMetallicRoughness", {{"baseColorFactor", {0, 1, 0, 1}}}},
                              {"emissiveFactor", {1, 0, 0}}}),
                   {0, 1, 0}));
}

// A triangle whose corners are all at one place of a picture that is named so.
GltfBuilder painted(const Json& image) {
  GltfBuilder b;
  b.json["images"] = Json::array({image});
  b.json["textures"] = {{{"source", 0}}};
  b.json["materials"] = {{{"pbrMetallicRoughness", {{"baseColorTexture", {{"index", 0}}}}}}};
  b.mesh({{"attributes",
           {{"POSITION", b.positions(kTriangle)},
            {"TEXCOORD_0", b.accessor<float>({0, 0, 0, 0, 0, 0}, 5126, "VEC2", 3)}}},
          {"material", 0}});
  return b;
}

TEST(GltfReferences, CostAtMostWhatTheyName) {
  const test::TemporaryDirectory outside;
  const std::filesystem::path folder = outside / "model";
  std::filesystem::create_directories(folder / "textures");
  image::write_png(folder / "textures" / "t x.png", image::Image(4, 4, 3, 100));
  image::write_png(folder / "base.png", image::Image(4, 4, 3, 100));
  image::write_png(outside / "secret.png", image::Image(4, 4, 3, 50));
  for (const char* uri :
       {"textures/t%20x.png", "textures/t x.png", "textures\\t%20x.png", "textures\\t x.png",
        "../images/base.png", "/abs/base.png", "C:\\x\\base.png", "file:///x/base.png"}) {
    GltfBuilder b = painted({{"uri", uri}});
    EXPECT_NEAR(b.read(folder).colours[0].x, 100 / 255.0, 1e-4) << uri;
    EXPECT_TRUE(b.warnings(folder).empty()) << uri;
  }
  for (const char* uri :
       {"../secret.png", "%2e%2e/secret.png", "..\\secret.png", "http://host/secret.png", "gone.png"}) {
    GltfBuilder b = painted({{"uri", uri}});
    EXPECT_EQ(b.read(folder).triangles.size(), 1u) << uri;
    ASSERT_EQ(b.warnings(folder).size(), 1u) << uri;
    EXPECT_NE(b.warnings(folder)[0].find("textures"), std::string::npos);
  }
}

TEST(GltfReferences, TextThatIsNotUtf8CostsNothingElse) {
  GltfBuilder b;
  b.node({{"mesh", add_box(b)}, {"name", "st\u00fchlchen"}});
  std::vector<std::byte> bytes = b.embedded();
  std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  text.replace(text.find("\u00fc"), 2, "\xFC");
  ReadNotes notes;
  EXPECT_EQ(geometry::read_gltf(to_bytes(text), "case.gltf", {}, notes).triangles.size(), 12u);
  ASSERT_EQ(notes.lines().size(), 1u);
  EXPECT_NE(notes.lines()[0].find("UTF-8"), std::string::npos);
}

TEST(GltfWarnings, SayWhatIsLeftOutOnceAKind) {
  GltfBuilder b = painted({{"uri", "gone.png"}});
  Json& mesh = b.json["meshes"][0]["primitives"];
  Json lines = mesh[0];
  lines["mode"] = 1;
  for (int i = 0; i < 3; ++i) mesh.push_back(lines);
  auto warnings = b.warnings();
  ASSERT_EQ(warnings.size(), 2u);
  EXPECT_NE(warnings[1].find("points and lines (3"), std::string::npos) << warnings[1];
  GltfBuilder unplaced =
      painted({{"uri", "data:image/png;base64," + base64(image::encode_png(image::Image(2, 2, 3, 9)))}});
  unplaced.json["materials"][0]["pbrMetallicRoughness"]["baseColorTexture"]["texCoord"] = 3;
  warnings = unplaced.warnings();
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_NE(warnings[0].find("TEXCOORD_3"), std::string::npos);
  GltfBuilder ktx = painted({{"uri", "a.ktx2"}});
  ktx.json["textures"][0] = {{"extensions", {{"KHR_texture_basisu", {{"source", 0}}}}}};
  ASSERT_EQ(ktx.warnings().size(), 1u);
}

TEST(GltfReferences, ToTexturesThatDoNotExistCostTheTexture) {
  for (const char* section : {"textures", "samplers", "images"}) {
    GltfBuilder b =
        painted({{"uri", "data:image/png;base64," + base64(image::encode_png(image::Image(2, 2, 3, 9)))}});
    Json& surface = b.json["materials"][0]["pbrMetallicRoughness"];
    surface["baseColorFactor"] = {1, 0, 0, 1};
    if (section == std::string("textures")) surface["baseColorTexture"]["index"] = 7;
    if (section == std::string("samplers")) b.json["textures"][0]["sampler"] = 7;
    if (section == std::string("images")) b.json["textures"][0]["source"] = 7;
    EXPECT_TRUE(near(b.read().colours[0], {1, 0, 0})) << section;
    ASSERT_EQ(b.warnings().size(), 1u) << section;
    EXPECT_NE(b.warnings()[0].find(section), std::string::npos) << b.warnings()[0];
  }
}

TEST(GltfAttributes, ThatAreNoNumbersCostThemselves) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  GltfBuilder b =
      painted({{"uri", "data:image/png;base64," + base64(image::encode_png(image::Image(2, 2, 3, 9)))}});
  Json& attributes = b.json["meshes"][0]["primitives"][0]["attributes"];
  attributes["TEXCOORD_0"] = b.accessor<float>({0, 0, nan, 0, 0, 0}, 5126, "VEC2", 3);
  attributes["COLOR_0"] = b.accessor<float>({0, 0, 0, nan, 0, 0, 0, 0, 0}, 5126, "VEC3", 3);
  EXPECT_TRUE(near(b.read().colours[1], {1, 1, 1}));
  EXPECT_EQ(b.warnings().size(), 2u);
}

TEST(PixelBudget, BoundsThePicturesOfOneMeshTogether) {
  PixelBudget budget;
  image::Image large;
  large.width = large.height = 8192;
  const auto spend = [&] { budget.spend("a.glb", [&] { return large; }); };
  for (int i = 0; i < 4; ++i) spend();
  EXPECT_NE(input_error(spend).find("a.glb"), std::string::npos);
  bool decoded = false;
  EXPECT_NE(input_error([&] {
              budget.spend("a.glb", [&] {
                decoded = true;
                return image::Image(1, 1, 3, 0);
              });
            }).find("pixels together"),
            std::string::npos);
  EXPECT_FALSE(decoded);
}

TEST(GltfInstancing, WithoutAttributesIsNone) {
  GltfBuilder b;
  b.node({{"mesh", add_box(b)},
          {"extensions", {{"EXT_mesh_gpu_instancing", {{"attributes", Json::object()}}}}}});
  EXPECT_EQ(b.read().triangles.size(), 12u);
}

TEST(GltfBudget, CountsInstancesThatShowNothing) {
  GltfBuilder b;
  const int box = add_box(b);
  b.json["accessors"].push_back({{"componentType", 5126}, {"count", 30000}, {"type", "VEC3"}});
  const auto scale = b.json["accessors"].size() - 1;
  for (int i = 0; i < 10; ++i)
    b.node(
        {{"mesh", box}, {"extensions", {{"EXT_mesh_gpu_instancing", {{"attributes", {{"SCALE", scale}}}}}}}});
  EXPECT_NE(input_error([&] { b.read(); }).find("instances and primitives"), std::string::npos);
}

TEST(GltfBudget, CountsTheJointsOfEachSkinOnce) {
  GltfBuilder shared = skinned();
  const Json node = shared.json["nodes"].back();
  for (int i = 0; i < 20; ++i) shared.json["nodes"][0]["children"].push_back(shared.node(node));
  EXPECT_EQ(shared.read().triangles.size(), 21 * 12u);
  GltfBuilder many = skinned();
  many.json["accessors"].push_back({{"componentType", 5126}, {"count", 60000}, {"type", "MAT4"}});
  const auto bind = many.json["accessors"].size() - 1;
  for (int skin = 1; skin <= 4; ++skin) {
    many.json["skins"].push_back({{"joints", {1}}, {"inverseBindMatrices", bind}});
    Json other = node;
    other["skin"] = skin;
    many.json["nodes"][0]["children"].push_back(many.node(other));
  }
  EXPECT_NE(input_error([&] { many.read(); }).find("joints"), std::string::npos);
}

}  // namespace
}  // namespace omni::geometry
