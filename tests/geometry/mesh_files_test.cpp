#include "omni/geometry/mesh_files.h"

#include <assimp/scene.h>
#include <gtest/gtest.h>

#include <assimp/Importer.hpp>
#include <fstream>

#include "allocation_peak.h"
#include "coloured_shapes.h"
#include "mesh_formats.h"
#include "omni/core/files.h"
#include "omni/geometry/mesh_frame.h"
#include "omni/image/image.h"
#include "readers.h"
#include "temporary_directory.h"

namespace omni::geometry {
namespace {

using testing::input_error;
using testing::painted_sphere;
using testing::read_obj;
using testing::read_ply;
using testing::read_stl;
using testing::to_bytes;

double largest_difference(const std::vector<Vec3>& a, const std::vector<Vec3>& b) {
  if (a.size() != b.size()) return INFINITY;
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    for (std::size_t c = 0; c < 3; ++c) worst = std::max(worst, double(std::abs(a[i][c] - b[i][c])));
  return worst;
}

Mesh round_trip(const Mesh& mesh, const std::string& file) {
  const test::TemporaryDirectory folder;
  write_mesh(folder / file, mesh);
  return read_mesh(folder / file);
}

// Triangles as corner positions: what stays where a format does not keep the vertices.
std::vector<Vec3> corners(const Mesh& mesh) {
  std::vector<Vec3> result;
  for (const auto& t : mesh.triangles)
    for (const std::uint32_t i : t) result.push_back(mesh.positions[i]);
  return result;
}

TEST(MeshRoundTrip, GlbKeepsEverything) {
  const Mesh mesh = painted_sphere();
  const Mesh back = round_trip(mesh, "mesh.glb");
  EXPECT_EQ(back.positions, mesh.positions);
  EXPECT_EQ(back.triangles, mesh.triangles);
  EXPECT_LT(largest_difference(back.colours, mesh.colours), 1e-5);
  EXPECT_LT(largest_difference(back.normals, mesh.normals), 1e-6);
  const Mesh decoded = decode_glb(encode_glb(mesh), "memory");
  EXPECT_EQ(decoded.positions, mesh.positions);
}

TEST(MeshRoundTrip, GlbTellsWhereTheFrameLies) {
  Mesh mesh = painted_sphere();
  for (Vec3& p : mesh.positions) p = p * 3 + Vec3{0, 2, 1};
  const Normalisation frame{{0.1f, 2, 1}, 0.31f};
  const auto bytes = encode_glb(mesh, frame);
  const std::optional<Normalisation> told = frame_of_glb(bytes);
  ASSERT_TRUE(told);
  EXPECT_EQ(told->centre, frame.centre);
  EXPECT_EQ(told->scale, frame.scale);
  EXPECT_EQ(decode_glb(bytes, "memory").positions, mesh.positions);
  EXPECT_FALSE(frame_of_glb(encode_glb(mesh)));
  EXPECT_FALSE(frame_of_glb(std::span(bytes).first(bytes.size() / 2)));
  const test::TemporaryDirectory folder;
  write_mesh(folder / "mesh.obj", mesh);
  EXPECT_FALSE(read_frame(folder / "mesh.obj"));
  write_file_atomically(folder / "mesh.glb", std::span<const std::byte>(bytes));
  EXPECT_TRUE(read_frame(folder / "mesh.glb"));

  Mesh placed = mesh;
  EXPECT_EQ(normalise(placed, told).scale, frame.scale);
  EXPECT_NEAR(length(placed.positions[0] - (mesh.positions[0] - frame.centre) * frame.scale), 0, 1e-6);
  // What another program has changed since is read by its own box.
  for (const Vec3 moved : {Vec3{1, 0, 0}, Vec3{0, -5, 0}}) {
    Mesh other = mesh;
    for (Vec3& p : other.positions) p += moved;
    (void)normalise(other, told);
    EXPECT_NEAR(length(other.bounds().centre()), 0, 1e-5);
  }
  Mesh larger = mesh;
  for (Vec3& p : larger.positions) p = (p - frame.centre) * 1.3f + frame.centre;
  (void)normalise(larger, told);
  EXPECT_NEAR(larger.bounds().extent().y, kNormalisedLongestSide, 1e-5);
}

TEST(MeshRoundTrip, GlbWithManyVerticesUsesWideIndices) {
  const Mesh mesh = testing::sphere_mesh(1, 110);
  ASSERT_GT(mesh.positions.size(), 65535u);
  EXPECT_EQ(decode_glb(encode_glb(mesh), "memory").triangles, mesh.triangles);
}

TEST(MeshRoundTrip, ObjKeepsEverything) {
  const Mesh mesh = painted_sphere();
  const Mesh back = round_trip(mesh, "mesh.obj");
  EXPECT_EQ(corners(back), corners(mesh));
  EXPECT_EQ(back.positions.size(), mesh.positions.size());
  const Mesh plain = round_trip(testing::sphere_mesh(1, 3), "mesh.OBJ");
  EXPECT_TRUE(plain.colours.empty());
  EXPECT_TRUE(plain.normals.empty());
}

TEST(MeshRoundTrip, ObjKeepsColoursAtTheirCorners) {
  const Mesh mesh = painted_sphere(), back = round_trip(mesh, "mesh.obj");
  ASSERT_EQ(back.triangles.size(), mesh.triangles.size());
  for (std::size_t i = 0; i < mesh.triangles.size(); ++i)
    for (std::size_t k = 0; k < 3; ++k) {
      EXPECT_LT(length(back.colours[back.triangles[i][k]] - mesh.colours[mesh.triangles[i][k]]), 1e-5);
      EXPECT_LT(length(back.normals[back.triangles[i][k]] - mesh.normals[mesh.triangles[i][k]]), 1e-5);
    }
}

TEST(MeshRoundTrip, PlyKeepsPositionsAndColoursToAByte) {
  const Mesh mesh = painted_sphere(), back = round_trip(mesh, "mesh.ply");
  EXPECT_EQ(back.positions, mesh.positions);
  EXPECT_EQ(back.triangles, mesh.triangles);
  EXPECT_EQ(back.normals, mesh.normals);
  EXPECT_LE(largest_difference(back.colours, mesh.colours), 0.5 / 255 + 1e-6);
}

TEST(MeshRoundTrip, StlKeepsTriangles) {
  const Mesh mesh = painted_sphere(), back = round_trip(mesh, "mesh.stl");
  EXPECT_EQ(corners(back), corners(mesh));
  EXPECT_EQ(round_trip(testing::box_mesh({1, 1, 1}, 1), "box.stl").positions.size(), 8u);  // seams are joined
  EXPECT_TRUE(back.colours.empty());
}

// As another reader sees them: our own would not notice the same mistake made twice.
TEST(WriteMesh, ColoursAreLinearInGlbAndSrgbInPly) {
  Mesh mesh = testing::box_mesh({1, 2, 3}, 1);
  mesh.colours.assign(mesh.positions.size(), Vec3{0.5f, 0.25f, 1});
  const test::TemporaryDirectory folder;
  for (const bool linear : {true, false}) {
    const auto path = folder / (linear ? "box.glb" : "box.ply");
    write_mesh(path, mesh);
    Assimp::Importer importer;
    const aiScene* scene = importer.ReadFile(path.string(), 0);
    ASSERT_NE(scene, nullptr) << importer.GetErrorString();
    ASSERT_EQ(scene->mNumMeshes, 1u);
    ASSERT_TRUE(scene->mMeshes[0]->HasVertexColors(0));
    const aiColor4D& colour = scene->mMeshes[0]->mColors[0][0];
    EXPECT_NEAR(colour.r, linear ? 0.21404 : 0.5, 0.003);
    EXPECT_NEAR(colour.g, linear ? 0.05088 : 0.25, 0.003);
    EXPECT_NEAR(colour.b, 1, 1e-6);
    float height = 0;
    for (unsigned i = 0; i < scene->mMeshes[0]->mNumVertices; ++i)
      height = std::max(height, scene->mMeshes[0]->mVertices[i].y);
    EXPECT_EQ(height, 2);  // Y up, in metres
  }
}

TEST(WriteMesh, RefusesWhatItCannotWrite) {
  const test::TemporaryDirectory folder;
  try {
    write_mesh(folder / "mesh.xyz", painted_sphere());
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
  }
  for (const char* name : {"a.glb", "a.obj", "a.ply", "a.stl"}) {
    EXPECT_NE(input_error([&] { write_mesh(folder / name, Mesh{}); }).find("no faces"), std::string::npos);
    Mesh broken = painted_sphere();
    broken.positions[3].y = NAN;
    EXPECT_NE(input_error([&] { write_mesh(folder / name, broken); }).find("finite"), std::string::npos);
    EXPECT_FALSE(std::filesystem::exists(folder / name));
  }
}

TEST(ReadMesh, NamesMissingAndUnknownFiles) {
  const test::TemporaryDirectory folder;
  try {
    read_mesh(folder / "missing.glb");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::io);
    EXPECT_NE(std::string(error.what()).find("missing.glb"), std::string::npos);
  }
  write_file_atomically(folder / "notes.txt", std::string_view("hello"));
  EXPECT_NE(input_error([&] { read_mesh(folder / "notes.txt"); }).find("notes.txt"), std::string::npos);
  write_file_atomically(folder / "picture.glb", std::string_view("\x89PNG\r\n\x1a\n and so on"));
  EXPECT_NE(input_error([&] { read_mesh(folder / "picture.glb"); }).find("picture.glb"), std::string::npos);
}

TEST(ReadMesh, ReadsOtherFormatsThroughAssimp) {
  const test::TemporaryDirectory folder;
  write_file_atomically(folder / "tetrahedron.off",
                        std::string_view("OFF\n4 4 6\n0 0 0\n1 0 0\n0 1 0\n0 0 1\n"
                                         "3 0 2 1\n3 0 1 3\n3 0 3 2\n3 1 2 3\n"));
  const Mesh mesh = read_mesh(folder / "tetrahedron.off");
  EXPECT_EQ(mesh.triangles.size(), 4u);
  EXPECT_NEAR(mesh.signed_volume(), 1.0 / 6, 1e-6);
}

// assimp 5.2 aborts on this one.
TEST(ReadMesh, ACrashOfAssimpIsAnError) {
  const test::TemporaryDirectory folder;
  write_file_atomically(folder / "cut.off", std::string_view("OFF\n4 4 6\n0 0 0\n1 0 0\n"));
  EXPECT_NE(input_error([&] { read_mesh(folder / "cut.off"); }).find("cut.off"), std::string::npos);
}

// A square of COLLADA, Z up and in centimetres, with a picture that lay elsewhere on its author's machine.
constexpr const char* kCollada = R"(<?xml version="1.0"?>
<COLLADA xmlns="http://www.collada.org/2005/11/COLLADASchema" version="1.4.1">
<asset><unit meter="0.01" name="centimetre"/><up_axis>Z_UP</up_axis></asset>
<library_images><image id="img"><init_from>file:///C:/work/picture.png</init_from></image></library_images>
<library_effects><effect id="fx"><profile_COMMON>
<newparam sid="s"><surface type="2D"><init_from>img</init_from></surface></newparam>
<newparam sid="t"><sampler2D><source>s</source></sampler2D></newparam>
<technique sid="common"><lambert><diffuse><texture texture="t" texcoord="uv"/></diffuse></lambert></technique>
</profile_COMMON></effect></library_effects>
<library_materials><material id="mat"><instance_effect url="#fx"/></material></library_materials>
<library_geometries><geometry id="g"><mesh>
<source id="p"><float_array id="pa" count="12">0 0 0 100 0 0 100 0 100 0 0 100</float_array><technique_common>
<accessor source="#pa" count="4" stride="3"><param name="X" type="float"/><param name="Y" type="float"/>
<param name="Z" type="float"/></accessor></technique_common></source>
<source id="u"><float_array id="ua" count="2">0.5 0.5</float_array><technique_common>
<accessor source="#ua" count="1" stride="2"><param name="S" type="float"/><param name="T" type="float"/>
</accessor></technique_common></source>
<vertices id="v"><input semantic="POSITION" source="#p"/></vertices>
<polylist material="m" count="1"><input semantic="VERTEX" source="#v" offset="0"/>
<input semantic="TEXCOORD" source="#u" offset="1" set="0"/><vcount>4</vcount><p>0 0 1 0 2 0 3 0</p></polylist>
</mesh></geometry></library_geometries>
<library_visual_scenes><visual_scene id="sc"><node id="n"><instance_geometry url="#g"><bind_material>
<technique_common><instance_material symbol="m" target="#mat"/></technique_common></bind_material>
</instance_geometry></node></visual_scene></library_visual_scenes>
<scene><instance_visual_scene url="#sc"/></scene></COLLADA>)";

TEST(ReadMesh, FindsTexturesOfOtherFormatsBesideThem) {
  const test::TemporaryDirectory folder;
  write_file_atomically(folder / "square.dae", std::string_view(kCollada));
  const Mesh bare = read_mesh(folder / "square.dae");  // a warning, and no texture
  EXPECT_NEAR(bare.surface_area(), 1, 1e-5);           // metres
  EXPECT_NEAR(bare.bounds().extent().y, 1, 1e-5);      // Y up
  image::Image picture(4, 4, 3, 0);
  for (std::size_t i = 1; i < picture.pixels.size(); i += 3) picture.pixels[i] = 255;
  image::write_png(folder / "picture.png", picture);
  const Mesh painted = read_mesh(folder / "square.dae");
  ASSERT_FALSE(painted.colours.empty());
  EXPECT_LT(length(painted.colours[0] - Vec3{0, 1, 0}), 1e-3);
}

TEST(ReadStl, ReadsText) {
  const Mesh mesh =
      read_stl(to_bytes("solid part\r\n facet normal 0 0 1\n  outer loop\n   vertex 0 0 0\n"
                        "   vertex 1e0 0 0\n   vertex 0 +1.5 0\n  endloop\n endfacet\nendsolid\n"),
               "part.stl");
  ASSERT_EQ(mesh.triangles.size(), 1u);
  EXPECT_EQ(mesh.positions[2], (Vec3{0, 1.5f, 0}));
}

TEST(ReadStl, ReadsBinaryFilesThatBeginWithSolid) {
  auto bytes = encode_stl(testing::sphere_mesh(1, 2));
  std::memcpy(bytes.data(), "solid x", 7);
  EXPECT_EQ(read_stl(bytes, "x.stl").triangles.size(), testing::sphere_mesh(1, 2).triangles.size());
}

TEST(ReadStl, RefusesBrokenText) {
  for (const char* text : {"solid x\nvertex 0 0\n", "solid x\nouter loop\nvertex 0 0 0\nendloop\n",
                           "solid x\n", "", "solid x\nvertex 0 0 0\nvertex 1 0 0\nvertex nan 1 0\nendloop\n"})
    EXPECT_NE(input_error([&] { read_stl(to_bytes(text), "bad.stl"); }).find("bad.stl"), std::string::npos)
        << text;
}

constexpr const char* kAsciiPly =
    "ply\nformat ascii 1.0\ncomment made by hand\nelement vertex 4\nproperty float x\nproperty float y\n"
    "property float z\nproperty uchar red\nproperty uchar green\nproperty uchar blue\nelement face 1\n"
    "property list uchar int vertex_indices\nelement edge 1\nproperty int vertex1\nproperty int vertex2\n"
    "end_header\n0 0 0 255 0 0\n1 0 0 0 255 0\n1 1 0 0 0 255\n0 1 0 51 102 153\n4 0 1 2 3\n0 1\n";

TEST(ReadPly, ReadsTextWithPolygonsAndOtherElements) {
  const Mesh mesh = read_ply(to_bytes(kAsciiPly), "quad.ply");
  EXPECT_EQ(mesh.triangles.size(), 2u);
  EXPECT_NEAR(mesh.surface_area(), 1, 1e-6);
  EXPECT_NEAR(mesh.colours[3].y, 0.4, 1e-6);
}

TEST(ReadPly, ReadsBigEndianAndFloatColours) {
  std::vector<std::byte> bytes = to_bytes(
      "ply\nformat binary_big_endian 1.0\nelement vertex 3\nproperty double x\nproperty float y\nproperty "
      "short z\n"
      "property float r\nproperty float g\nproperty float b\nelement face 1\n"
      "property list ushort uint vertex_index\nend_header\n");
  const auto add = [&](auto value) {
    std::vector<std::byte> raw;
    append_bytes(raw, value);
    bytes.insert(bytes.end(), raw.rbegin(), raw.rend());
  };
  for (int i = 0; i < 3; ++i) {
    add(double(i));
    add(float(i * i));
    add(std::int16_t(-i));
    add(0.25f);
    add(0.5f);
    add(0.75f);
  }
  add(std::uint16_t(3));
  for (std::uint32_t i = 0; i < 3; ++i) add(i);
  const Mesh mesh = read_ply(bytes, "big.ply");
  ASSERT_EQ(mesh.positions.size(), 3u);
  EXPECT_EQ(mesh.positions[2], (Vec3{2, 4, -2}));
  EXPECT_EQ(mesh.colours[1], (Vec3{0.25f, 0.5f, 0.75f}));
}

TEST(ReadPly, RefusesImpossibleHeadersAndIndices) {
  const std::string good = kAsciiPly;
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    text.replace(text.find(from), from.size(), to);
    return input_error([&] { read_ply(to_bytes(text), "bad.ply"); });
  };
  EXPECT_NE(with("vertex 4", "vertex 4000000000000").find("more than fit"), std::string::npos);
  EXPECT_NE(with("face 1", "face 99999999999").find("more than fit"), std::string::npos);
  EXPECT_NE(with("4 0 1 2 3", "4 0 1 2 4").find("vertex 4 of 4"), std::string::npos);
  EXPECT_NE(with("4 0 1 2 3", "4 0 1 2 -1").find("vertex -1"), std::string::npos);
  EXPECT_NE(with("4 0 1 2 3", "9999 0 1 2 3").find("longer"), std::string::npos);
  EXPECT_NE(with("1 1 0 0 0 255", "1 nan 0 0 0 255").find("finite"), std::string::npos);
  EXPECT_NE(with("end_header", "end").find("no end"), std::string::npos);
  EXPECT_NE(with("ascii", "utf8").find("format"), std::string::npos);
}

// What a file of a kilobyte claims to hold does not decide what is allocated.
TEST(ReadMesh, GigabytesClaimedInAKilobyteAllocateNothing) {
  constexpr std::size_t kSmall = std::size_t{1} << 20;
  const auto refused = [&](const std::string& text, const auto& read, const char* reason) {
    const auto bytes = to_bytes(text);
    const test::AllocationPeak peak;
    EXPECT_NE(input_error([&] { read(bytes); }).find(reason), std::string::npos) << text.substr(0, 80);
    EXPECT_LT(peak.bytes(), kSmall) << text.substr(0, 80);
  };
  const auto ply = [](const auto& bytes) { read_ply(bytes, "claims.ply"); };
  for (const char* format : {"ascii", "binary_little_endian", "binary_big_endian"}) {
    const std::string head = concat("ply\nformat ", format, " 1.0\nelement vertex ");
    const std::string vertices = "property float x\nproperty float y\nproperty float z\n";
    refused(head + "357913941\n" + vertices + "end_header\n" + std::string(900, '0'), ply, "more than fit");
    refused(head + "1\n" + vertices +
                "element face 1\nproperty list uint uint vertex_indices\nend_header\n0 0 0 0 0 0 " +
                std::string(4, '\xff') + "4294967295" + std::string(900, '\xff'),
            ply, "");
    // A list of nothing takes no more than its count; an element without properties takes nothing at all.
    refused(head + "4000000000\nelement face 4000000000\nend_header\n", ply, "");
  }
  std::string stl(84 + 910, '\0');
  std::memset(stl.data() + 80, 0xff, 4);
  refused(
      stl, [](const auto& bytes) { read_stl(bytes, "claims.stl"); }, "promises 4294967295");
}

TEST(ReadObj, ReadsPolygonsNegativeIndicesAndColours) {
  const Mesh mesh =
      read_obj(to_bytes("# a flat L, not convex\nv 0 0 0 1 0 0\nv 2 0 0 1 0 0\nv 2 1 0 1 0 0\n"
                        "v 1 1 0 0 1 0\nv 1 2 0 0 1 0\nv 0 2 0 0 0.5 0\nf -6 -5 \\\n -4 -3 -2 -1\n"),
               "l.obj", {});
  EXPECT_EQ(mesh.triangles.size(), 4u);
  EXPECT_NEAR(mesh.surface_area(), 3, 1e-6);  // a fan would cover more
  for (std::size_t i = 0; i < mesh.positions.size(); ++i)
    if (mesh.positions[i] == Vec3{0, 2, 0}) EXPECT_NEAR(mesh.colours[i].y, 0.5, 1e-5);
}

TEST(ReadObj, ReadsMaterialsAndTextures) {
  const test::TemporaryDirectory folder;
  image::Image picture(4, 4, 3, 0);  // upper half red, lower half blue
  for (int y = 0; y < 4; ++y)
    for (int x = 0; x < 4; ++x) picture.at(x, y)[y < 2 ? 0 : 2] = 255;
  image::write_png(folder / "picture.png", picture);
  write_file_atomically(folder / "a.mtl",
                        std::string_view("newmtl plain\nKd 0.2 0.4 0.6\nnewmtl painted\nKd 1 1 1\n"
                                         "map_Kd picture.png\n"));
  write_file_atomically(
      folder / "a.obj",
      std::string_view("mtllib a.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0.5 0.75\nvt 0.5 0.25\n"
                       "usemtl plain\nf 1 2 3\nusemtl painted\nf 1/1 2/1 3/1\nf 1/2 3/2 2/2\n"));
  const Mesh mesh = read_mesh(folder / "a.obj");
  ASSERT_EQ(mesh.triangles.size(), 3u);
  const auto colour = [&](std::size_t triangle) { return mesh.colours[mesh.triangles[triangle][0]]; };
  EXPECT_LT(length(colour(0) - Vec3{1, 0, 0}), 0.01);  // groups come sorted by material name
  EXPECT_LT(length(colour(1) - Vec3{0, 0, 1}), 0.01);
  EXPECT_LT(length(colour(2) - Vec3{0.2f, 0.4f, 0.6f}), 1e-4);
}

TEST(ReadObj, ReadsSeveralLibrariesAndNamesWithSpaces) {
  const test::TemporaryDirectory folder;
  write_file_atomically(folder / "a.mtl", std::string_view("newmtl red\nKd 1 0 0\n"));
  write_file_atomically(folder / "b.mtl", std::string_view("newmtl blue\nKd 0 0 1\n"));
  write_file_atomically(folder / "my colours.mtl", std::string_view("newmtl red\nKd 0 1 0\n"));
  constexpr const char* kFaces = "\nv 0 0 0\nv 1 0 0\nv 0 1 0\nusemtl blue\nf 1 2 3\nusemtl red\nf 1 3 2\n";
  write_file_atomically(folder / "two.obj", std::string("mtllib a.mtl b.mtl") + kFaces);
  const Mesh two = read_mesh(folder / "two.obj");
  EXPECT_EQ(two.colours[two.triangles[0][0]], (Vec3{0, 0, 1}));
  EXPECT_EQ(two.colours[two.triangles[1][0]], (Vec3{1, 0, 0}));
  write_file_atomically(folder / "space.obj", std::string("mtllib my colours.mtl") + kFaces);
  const Mesh spaced = read_mesh(folder / "space.obj");
  EXPECT_EQ(spaced.colours[spaced.triangles[1][0]], (Vec3{0, 1, 0}));
}

TEST(ReadObj, SurvivesMissingMaterialsAndTextures) {
  const test::TemporaryDirectory folder;
  constexpr const char* kFace = "\nv 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nusemtl m\nf 1/1 2/1 3/1\n";
  write_file_atomically(folder / "a.obj", std::string("mtllib absent.mtl") + kFace);
  EXPECT_EQ(read_mesh(folder / "a.obj").triangles.size(), 1u);
  write_file_atomically(folder / "b.mtl", std::string_view("newmtl m\nKd 0 1 0\nmap_Kd absent.png\n"));
  write_file_atomically(folder / "b.obj", std::string("mtllib b.mtl") + kFace);
  EXPECT_EQ(read_mesh(folder / "b.obj").colours[0], (Vec3{0, 1, 0}));
}

TEST(ReadObj, RefusesBrokenStatements) {
  for (const char* text :
       {"v 0 0\nf 1 1 1\n", "v 0 0 nan\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", "v 0 0 0\nf 1 2 3\n",
        "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 0\n", "v 0 0 0\nv 1 0 0\nf 1 2\n", "v 0 0 0\n", "",
        "v 0 0 0\nv 1 0 0\nv 0 1 0\nf -1 -2 -4\n", "v 0 0 0\nf 99999999999999999999 1 1\n"})
    EXPECT_NE(input_error([&] { read_obj(to_bytes(text), "bad.obj", {}); }).find("bad.obj"),
              std::string::npos)
        << text;
}

TEST(ReadAssimp, ATextureWithoutCoordinatesLeavesTheColour) {
  const test::TemporaryDirectory folder;
  image::write_png(folder / "picture.png", image::Image(4, 4, 3, 255));
  std::string text = kCollada;
  const auto replace = [&](const std::string& from, const std::string& to) {
    text.replace(text.find(from), from.size(), to);
  };
  replace("</diffuse>", "<color>1 0 0 1</color></diffuse>");
  replace("<input semantic=\"TEXCOORD\" source=\"#u\" offset=\"1\" set=\"0\"/>", "");
  replace("0 0 1 0 2 0 3 0", "0 1 2 3");
  write_file_atomically(folder / "square.dae", text);
  std::vector<std::string> warnings;
  const Mesh mesh = read_mesh(folder / "square.dae", warnings);
  ASSERT_FALSE(mesh.colours.empty());
  EXPECT_LT(length(mesh.colours[0] - Vec3{1, 0, 0}), 0.01);
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_NE(warnings[0].find("no texture coordinates"), std::string::npos) << warnings[0];
}

TEST(IsMeshFile, KnowsEveryFormatThatIsRead) {
  for (const char* name : {"a.glb", "a.OBJ", "a.amf", "a.x3d"}) EXPECT_TRUE(is_mesh_file(name)) << name;
  EXPECT_FALSE(is_mesh_file("a.png"));
}

}  // namespace
}  // namespace omni::geometry
