#include <gtest/gtest.h>

#include <cstring>

#include "coloured_shapes.h"
#include "omni/core/files.h"
#include "omni/geometry/mesh_files.h"
#include "omni/image/image.h"
#include "readers.h"
#include "temporary_directory.h"

namespace omni::geometry {
namespace {

using testing::input_error;
using testing::read_ply;
using testing::to_bytes;

bool near(Vec3 a, Vec3 b) { return length(a - b) < 0.01f; }

const std::string kHead = "ply\nformat ascii 1.0\n";
const std::string kPoint = "property float x\nproperty float y\nproperty float z\n";
const std::string kFaceList = "property list uchar int vertex_indices\n";
const std::string kSquare = "0 0 0\n1 0 0\n1 1 0\n0 1 0\n";

std::string square_with(const std::string& face_properties, const std::string& faces, int count) {
  return kHead + "element vertex 4\n" + kPoint + "element face " + std::to_string(count) + "\n" + kFaceList +
         face_properties + "end_header\n" + kSquare + faces;
}

Vec3 colour_of(const Mesh& mesh, std::size_t triangle) { return mesh.colours[mesh.triangles[triangle][0]]; }

TEST(Ply, FacesHaveColoursOfTheirOwn) {
  const std::vector<std::pair<std::string, std::string>> forms = {
      {"property uchar red\nproperty uchar green\nproperty uchar blue\n",
       "3 0 1 2 255 0 0\n3 0 2 3 0 0 255\n"},
      {"property uchar r\nproperty uchar g\nproperty uchar b\nproperty uchar alpha\n",
       "3 0 1 2 255 0 0 9\n3 0 2 3 0 0 255 9\n"},
      {"property float red\nproperty float green\nproperty float blue\n", "3 0 1 2 1 0 0\n3 0 2 3 0 0 1\n"},
      {"property float red\nproperty float green\nproperty float blue\n",
       "3 0 1 2 255 0 0\n3 0 2 3 0 0 255\n"},
      {"property uchar diffuse_red\nproperty uchar diffuse_green\nproperty uchar diffuse_blue\nproperty int flags\n",
       "3 0 1 2 255 0 0 5\n3 0 2 3 0 0 255 5\n"}};
  for (const auto& [properties, faces] : forms) {
    const Mesh mesh = read_ply(to_bytes(square_with(properties, faces, 2)), "a.ply");
    ASSERT_EQ(mesh.triangles.size(), 2u);
    EXPECT_TRUE(near(colour_of(mesh, 0), {1, 0, 0})) << properties;
    EXPECT_TRUE(near(colour_of(mesh, 1), {0, 0, 1})) << properties;
    EXPECT_EQ(mesh.positions.size(), 6u) << "two corners have both colours";
  }
}

TEST(Ply, VertexColoursComeBeforeThoseOfFaces) {
  const std::string text = kHead + "element vertex 3\n" + kPoint +
                           "property uchar red\nproperty uchar green\nproperty uchar blue\nelement face 1\n" +
                           kFaceList +
                           "property uchar red\nproperty uchar green\nproperty uchar blue\nend_header\n"
                           "0 0 0 0 255 0\n1 0 0 0 255 0\n0 1 0 0 255 0\n3 0 1 2 255 0 0\n";
  ReadNotes notes;
  EXPECT_TRUE(near(geometry::read_ply(to_bytes(text), "a.ply", {}, notes).colours[0], {0, 1, 0}));
  ASSERT_EQ(notes.lines().size(), 1u);
  EXPECT_NE(notes.lines()[0].find("colours of its faces"), std::string::npos);
}

// Blue on the left below, green on the right below, white above.
void write_picture(const std::filesystem::path& path) {
  image::Image picture(4, 4, 3, 255);
  for (int y = 2; y < 4; ++y)
    for (int x = 0; x < 4; ++x) {
      picture.at(x, y)[0] = 0;
      picture.at(x, y)[x < 2 ? 1 : 2] = 0;
    }
  image::write_png(path, picture);
}

TEST(Ply, ReadsTexturesPerFaceAndPerVertex) {
  const test::TemporaryDirectory folder;
  write_picture(folder / "tex.png");
  write_picture(folder / "a picture.png");
  image::write_png(folder / "white.png", image::Image(4, 4, 3, 255));
  const auto read = [&](const std::string& comments, const std::string& text) {
    std::string with = text;
    with.insert(kHead.size(), comments);
    write_file_atomically(folder / "a.ply", with);
    return read_mesh(folder / "a.ply");
  };
  // MeshLab: six numbers behind each face.
  const std::string lists = "property list uchar float texcoord\n";
  const std::string wedges =
      "3 0 1 2 6 .125 .125 .125 .125 .125 .125\n3 0 2 3 6 .875 .125 .875 .125 .875 .125\n";
  for (const std::string comment :
       {"comment TextureFile tex.png\n", "comment texturefile a picture.png\n",
        "comment TextureFile \"a picture.png\"\n", "comment TextureFile C:\\x\\tex.png\n"}) {
    const Mesh mesh = read("comment VCGLIB generated\n" + comment, square_with(lists, wedges, 2));
    EXPECT_TRUE(near(colour_of(mesh, 0), {0, 0, 1})) << comment;
    EXPECT_TRUE(near(colour_of(mesh, 1), {0, 1, 0})) << comment;
  }
  // OpenMVS: several pictures, and which of them.
  const Mesh several = read(
      "comment TextureFile white.png\ncomment TextureFile tex.png\n",
      square_with(
          lists + "property int texnumber\n",
          "4 0 1 2 3 8 .125 .125 .125 .125 .125 .125 .125 .125 1\n3 0 2 3 6 .125 .125 .125 .125 .125 .125 0\n",
          2));
  ASSERT_EQ(several.triangles.size(), 3u);
  EXPECT_TRUE(near(colour_of(several, 0), {1, 1, 1})) << "in the order of the pictures";
  EXPECT_TRUE(near(colour_of(several, 1), {0, 0, 1}));
  // Blender and others: two numbers of each vertex.
  for (const std::string names : {"s t", "u v", "texture_u texture_v", "texture_s texture_t"}) {
    const std::size_t gap = names.find(' ');
    const Mesh mesh =
        read("comment TextureFile tex.png\n",
             kHead + "element vertex 3\n" + kPoint + "property float " + names.substr(0, gap) +
                 "\nproperty float " + names.substr(gap + 1) + "\nelement face 1\n" + kFaceList +
                 "end_header\n0 0 0 .125 .125\n1 0 0 .125 .125\n0 1 0 .125 .125\n3 0 1 2\n");
    EXPECT_TRUE(near(mesh.colours[0], {0, 0, 1})) << names;
  }
  std::vector<std::string> warnings;
  write_file_atomically(folder / "b.ply", "ply\nformat ascii 1.0\ncomment TextureFile gone.png\n" +
                                              square_with(lists, wedges, 2).substr(kHead.size()));
  EXPECT_TRUE(read_mesh(folder / "b.ply", warnings).colours.empty());
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_NE(warnings[0].find("gone.png"), std::string::npos);
}

// Six vertices in a row of three squares' edges, as strips with breaks.
TEST(Ply, ReadsStripsInEveryFormat) {
  const std::vector<Vec3> points = {{0, 0, 0}, {0, 1, 0}, {1, 0, 0}, {1, 1, 0}, {2, 0, 0}, {2, 1, 0}};
  const std::vector<std::int32_t> strip = {0, 2, 1, 3, -1, 2, 4, 3, 5, -1, -1, 0, 1};
  std::string text = "element vertex 6\n" + kPoint +
                     "element tristrips 1\nproperty list int int vertex_indices\nend_header\n";
  std::string ascii = kHead + text;
  for (const Vec3& p : points) ascii += concat(p.x, " ", p.y, " ", p.z, "\n");
  ascii += std::to_string(strip.size());
  for (const std::int32_t i : strip) ascii += " " + std::to_string(i);
  std::string binary = "ply\nformat binary_little_endian 1.0\n" + text,
              swapped = "ply\nformat binary_big_endian 1.0\n" + text;
  const auto add = [&](const auto& value) {
    char raw[4];
    std::memcpy(raw, &value, 4);
    binary.append(raw, 4);
    swapped.append({raw[3], raw[2], raw[1], raw[0]});
  };
  for (const Vec3& p : points)
    for (std::size_t c = 0; c < 3; ++c) add(p[c]);
  add(std::int32_t(strip.size()));
  for (const std::int32_t i : strip) add(i);
  for (const std::string& file : {ascii, binary, swapped}) {
    const Mesh mesh = read_ply(to_bytes(file), "strips.ply");
    EXPECT_EQ(mesh.triangles.size(), 4u);
    EXPECT_NEAR(mesh.surface_area(), 2, 1e-6);
    for (const auto& t : mesh.triangles)
      EXPECT_GT(
          cross(mesh.positions[t[1]] - mesh.positions[t[0]], mesh.positions[t[2]] - mesh.positions[t[0]]).z,
          0);
  }
  ascii.replace(ascii.rfind(" 5"), 2, " 6");
  EXPECT_NE(input_error([&] { read_ply(to_bytes(ascii), "a.ply"); }).find("vertex 6 of 6"),
            std::string::npos);
}

TEST(Ply, ReadsWhatOtherProgramsVary) {
  const std::string faces_first = kHead + "element face 1\n" + kFaceList + "element vertex 4\n" + kPoint +
                                  "end_header\n4 0 1 2 3\n" + kSquare;
  EXPECT_NEAR(read_ply(to_bytes(faces_first), "a.ply").surface_area(), 1, 1e-6);
  std::string returns = square_with("", "4 0 1 2 3\n", 1);
  std::replace(returns.begin(), returns.end(), '\n', '\r');
  EXPECT_NEAR(read_ply(to_bytes(returns), "a.ply").surface_area(), 1, 1e-6);
  EXPECT_NEAR(read_ply(to_bytes("\xEF\xBB\xBF" + square_with("", "4 0 1 2 3\n", 1)), "a.ply").surface_area(),
              1, 1e-6);
  // Values that begin with a line feed, behind a header of lone returns.
  std::string binary =
      "ply\rformat binary_little_endian 1.0\relement vertex 3\rproperty uchar x\rproperty uchar y\r"
      "property uchar z\relement face 1\rproperty list uchar uchar vertex_index\rend_header\r";
  binary += std::string("\n\0\0\0\n\0\0\0\n\3\0\1\2", 13);
  EXPECT_NEAR(read_ply(to_bytes(binary), "a.ply").bounds().extent().x, 10, 1e-6);
}

TEST(Ply, BrokenNormalsAndSmallFacesCostThemselves) {
  const std::string text = kHead + "element vertex 3\n" + kPoint +
                           "property float nx\nproperty float ny\nproperty float nz\nelement face 2\n" +
                           kFaceList +
                           "element camera 1\nproperty float fov\nend_header\n"
                           "0 0 0 0 0 1\n1 0 0 -1.#IND 0 0\n0 1 0 -nan(ind) 0 1\n3 0 1 2\n2 0 1\n1\n";
  ReadNotes notes;
  const Mesh mesh = geometry::read_ply(to_bytes(text), "a.ply", {}, notes);
  EXPECT_EQ(mesh.triangles.size(), 1u);
  EXPECT_TRUE(mesh.normals.empty());
  EXPECT_EQ(notes.lines().size(), 3u);
}

TEST(Ply, StripsShowTexturesToo) {
  const test::TemporaryDirectory folder;
  write_picture(folder / "tex.png");
  write_file_atomically(folder / "a.ply",
                        kHead + "comment TextureFile tex.png\nelement vertex 4\n" + kPoint +
                            "property float s\nproperty float t\nelement tristrips 1\n"
                            "property list int int vertex_indices\nend_header\n0 0 0 .125 .125\n"
                            "1 0 0 .125 .125\n0 1 0 .125 .125\n1 1 0 .125 .125\n4 0 1 2 3\n");
  std::vector<std::string> warnings;
  const Mesh mesh = read_mesh(folder / "a.ply", warnings);
  EXPECT_NEAR(mesh.surface_area(), 1, 1e-6);
  ASSERT_FALSE(mesh.colours.empty());
  for (const Vec3& colour : mesh.colours) EXPECT_TRUE(near(colour, {0, 0, 1}));
  EXPECT_TRUE(warnings.empty());
}

TEST(Ply, SaysWhyATextureDoesNotShow) {
  const test::TemporaryDirectory folder;
  write_picture(folder / "tex.png");
  const auto warnings_of = [&](const std::string& vertex, const std::string& first) {
    write_file_atomically(folder / "a.ply", kHead + "comment TextureFile tex.png\nelement vertex 3\n" +
                                                kPoint + vertex + "element face 1\n" + kFaceList +
                                                "end_header\n0 0 0" + first + "\n1 0 0" + first + "\n0 1 0" +
                                                first + "\n3 0 1 2\n");
    std::vector<std::string> warnings;
    EXPECT_EQ(read_mesh(folder / "a.ply", warnings).triangles.size(), 1u);
    return warnings;
  };
  ASSERT_EQ(warnings_of("", "").size(), 1u);
  EXPECT_NE(warnings_of("", "")[0].find("no texture coordinates"), std::string::npos);
  const auto broken = warnings_of("property float s\nproperty float t\n", " nan .5");
  ASSERT_FALSE(broken.empty());
  EXPECT_NE(broken[0].find("no finite number"), std::string::npos);
}

TEST(Ply, ColoursThatAreNoNumbersAreWhiteAndNoted) {
  const std::string text = kHead + "element vertex 3\n" + kPoint +
                           "property float red\nproperty float green\nproperty float blue\nelement face 1\n" +
                           kFaceList + "end_header\n0 0 0 255 0 0\n1 0 0 nan 0 0\n0 1 0 255 0 0\n3 0 1 2\n";
  ReadNotes notes;
  const Mesh mesh = geometry::read_ply(to_bytes(text), "a.ply", {}, notes);
  EXPECT_TRUE(near(mesh.colours[0], {1, 0, 0}));
  EXPECT_TRUE(near(mesh.colours[1], {1, 1, 1}));
  ASSERT_EQ(notes.lines().size(), 1u);
  EXPECT_NE(notes.lines()[0].find("vertex colours"), std::string::npos);
}

}  // namespace
}  // namespace omni::geometry
