#include <gtest/gtest.h>

#include "coloured_shapes.h"
#include "damage.h"
#include "omni/core/files.h"
#include "omni/geometry/mesh_files.h"
#include "omni/image/image.h"
#include "read_mtl.h"
#include "readers.h"
#include "temporary_directory.h"

namespace omni::geometry {
namespace {

using namespace std::string_literals;
using testing::input_error;
using testing::read_obj;
using testing::to_bytes;

constexpr Vec3 kRed{1, 0, 0}, kGreen{0, 1, 0}, kBlue{0, 0, 1}, kYellow{1, 1, 0}, kWhite{1, 1, 1};

bool near(Vec3 a, Vec3 b) { return length(a - b) < 0.01f; }

// A folder with files and what is read from one of them.
class Obj : public ::testing::Test {
 protected:
  void write(const std::string& file, const std::string& text) {
    std::filesystem::create_directories((folder_ / file).parent_path());
    write_file_atomically(folder_ / file, text);
  }
  // 4 x 4: red and green above, blue and yellow below.
  void write_picture(const std::string& file) {
    std::filesystem::create_directories((folder_ / file).parent_path());
    image::Image picture(4, 4, 3, 0);
    for (int y = 0; y < 4; ++y)
      for (int x = 0; x < 4; ++x) {
        const Vec3 colour = y < 2 ? (x < 2 ? kRed : kGreen) : (x < 2 ? kBlue : kYellow);
        for (std::size_t c = 0; c < 3; ++c) picture.at(x, y)[c] = std::uint8_t(255 * colour[c]);
      }
    image::write_png(folder_ / file, picture);
  }
  Mesh read(const std::string& file = "a.obj") {
    warnings_.clear();
    return read_mesh(folder_ / file, warnings_);
  }
  // The colour of a triangle of material m whose corners are all at one place of the texture.
  Vec3 colour_with(const std::string& material, const std::string& coordinate = "0.125 0.875") {
    write("a.mtl", "newmtl m\n" + material + "\n");
    write("a.obj",
          "mtllib a.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nvt " + coordinate + "\nusemtl m\nf 1/1 2/1 3/1\n");
    const Mesh mesh = read();
    return mesh.colours.empty() ? Vec3{-1, -1, -1} : mesh.colours[0];
  }
  bool warned(const std::string& part) const {
    return std::any_of(warnings_.begin(), warnings_.end(),
                       [&](const std::string& w) { return w.find(part) != std::string::npos; });
  }

  test::TemporaryDirectory folder_;
  std::vector<std::string> warnings_;
};

const std::string kSquare = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\n";

TEST_F(Obj, NamesAreTheWholeRestOfTheirLine) {
  for (const std::string name : {"Material #25", "wood#1", "my wood", "\"quoted name\"", "a\tb", "#7"}) {
    write("a.mtl", "newmtl other\nKd 0 0 1\nnewmtl " + name + "  \r\nKd 1 0 0\r\n");
    write("a.obj", "mtllib a.mtl\n" + kSquare + "usemtl \t" + name + "\nf 1 2 3 4\n");
    EXPECT_TRUE(near(read().colours[0], kRed)) << name;
  }
  write("my #1 (\u00e9).mtl", "newmtl m\nKd 1 0 0\n");
  for (const std::string library :
       {"my #1 (\u00e9).mtl", "\"my #1 (\u00e9).mtl\"", "  my #1 (\u00e9).mtl  "}) {
    write("a.obj", "mtllib " + library + "\n" + kSquare + "usemtl m\nf 1 2 3 4\n");
    EXPECT_TRUE(near(read().colours[0], kRed)) << library;
  }
  // A comment behind a name that has none in it.
  write("a.mtl", "newmtl m\nKd 1 0 0 # red\n");
  write("a.obj", "mtllib a.mtl # colours\n" + kSquare + "usemtl m # red\nf 1 2 3 4 # a square\n");
  EXPECT_TRUE(near(read().colours[0], kRed));
}

TEST_F(Obj, ReadsMarksAndKeywordsInAnyCase) {
  write("a.mtl", "\xEF\xBB\xBFNEWMTL m\nKD 1 0 0\n");
  write("a.obj",
        "\xEF\xBB\xBFMTLLIB a.mtl\nV 0 0 0\nV 1 0 0\nV 1 1 0\nV 0 1 0\nv 9 9 9\nUseMtl m\nF 1 2 3 4\n");
  const Mesh mesh = read();
  EXPECT_TRUE(near(mesh.colours[0], kRed));
  EXPECT_NEAR(mesh.surface_area(), 1, 1e-6);
  EXPECT_NEAR(read_obj(to_bytes("\xEF\xBB\xBF" + kSquare + "f 1 2 3 4\n"), "a.obj").surface_area(), 1, 1e-6);
  std::string wide = "\xFF\xFE";
  for (const char c : kSquare + "f 1 2 3 4\n") wide += {c, '\0'};
  EXPECT_NEAR(read_obj(to_bytes(wide), "a.obj").surface_area(), 1, 1e-6);
}

TEST_F(Obj, BrokenOptionalAttributesCostThemselves) {
  const std::string box = "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nvn 0 0 1\nvt 0.125 0.125\n";
  for (const std::string broken :
       {"nan nan nan", "-nan(ind) 0 0", "-1.#IND 0 0", "inf 0 0", "1 2", "x y z", "1e999 0 0"}) {
    write("a.obj", box + "vn " + broken +
                       "\nf 1//1 3//1 2//1\nf 1//2 2//2 4//2\nf 2//2 3//2 4//2\nf 3//1 1//1 4//1\n");
    const Mesh mesh = read();
    EXPECT_EQ(mesh.triangles.size(), 4u) << broken;
    EXPECT_NEAR(mesh.signed_volume(), 1 / 6.0, 1e-6);
    ASSERT_EQ(mesh.normals.size(), mesh.positions.size()) << "the others stay";
    for (const Vec3& normal : mesh.normals) EXPECT_NEAR(length(normal), 1, 1e-5);
    EXPECT_EQ(warnings_.size(), 1u) << broken;
    EXPECT_TRUE(warned("normals") && warned("line 7")) << broken;
  }
  write_picture("tex.png");
  write("a.mtl", "newmtl m\nKd 0 0 1\nmap_Kd tex.png\n");
  for (const std::string corner : {"2", "9", "0", "-7", "x"}) {
    write("a.obj",
          "mtllib a.mtl\n" + box + "vt nan nan\nusemtl m\nf 1/1 2/1 3/1\nf 1/1 2/1 4/" + corner + "\n");
    const Mesh mesh = read();
    ASSERT_EQ(mesh.triangles.size(), 2u);
    EXPECT_TRUE(near(mesh.colours[mesh.triangles[0][0]], kBlue)) << "which is there in the picture";
    EXPECT_TRUE(near(mesh.colours[mesh.triangles[1][0]], kBlue)) << "its own colour";
    EXPECT_TRUE(warned("texture coordinates")) << corner;
  }
  write("a.obj", "v 0 0 0 1 0 0\nv 1 0 0 nan 0 0\nv 0 1 0 1 0 0\nf 1 2 3\n");
  EXPECT_TRUE(near(read().colours[1], kWhite));
  EXPECT_TRUE(warned("vertex colours"));
}

TEST_F(Obj, FacesMayComeBeforeTheirVertices) {
  write("a.obj",
        "f 1 2 3 4\nf 5/1/1 6/2/1 7/3/1\n" + kSquare + "v 2 0 0\nv 3 0 0\nv 3 1 0\nvt 0 0\nf -3 -2 -1\n");
  const Mesh mesh = read();
  EXPECT_EQ(mesh.triangles.size(), 4u);
  EXPECT_NEAR(mesh.surface_area(), 2, 1e-6);
  write("a.obj", "f 1 2 5\n" + kSquare);
  EXPECT_NE(input_error([&] { read(); }).find("line 1: a face names vertex \"5\" of 4"), std::string::npos);
}

TEST_F(Obj, MixesFacesWithAndWithoutTexture) {
  write_picture("tex.png");
  write("a.mtl", "newmtl m\nKd 0 1 0\nmap_Kd tex.png\n");
  write("a.obj", "mtllib a.mtl\n" + kSquare + "vt 0.125 0.875\nusemtl m\nf 1/1 2/1 3/1\nf 1 3 4\n");
  const Mesh mesh = read();
  ASSERT_EQ(mesh.triangles.size(), 2u);
  EXPECT_TRUE(near(mesh.colours[mesh.triangles[0][0]], kRed));
  EXPECT_TRUE(near(mesh.colours[mesh.triangles[1][0]], kGreen));
}

TEST_F(Obj, ReadsColoursWithAlphaAndUpTo255) {
  const auto first = [&](const std::string& colour, const std::string& other = "0 0 0") {
    const std::string text =
        "v 0 0 0 " + colour + "\nv 1 0 0 " + other + "\nv 0 1 0 " + other + "\nf 1 2 3\n";
    return read_obj(to_bytes(text), "a.obj").colours[0];
  };
  EXPECT_TRUE(near(first("1 0 0 1"), kRed));
  EXPECT_TRUE(near(first("0 1 0 0.5"), kGreen));
  EXPECT_TRUE(near(first("255 128 0"), {1, 128 / 255.0f, 0}));
  EXPECT_TRUE(near(first("255 0 0 255"), kRed));
  EXPECT_TRUE(near(first("1 0 0", "0 200 0"), {1 / 255.0f, 0, 0})) << "the whole file counts alike";
  EXPECT_TRUE(near(first("1.001 0.5 0"), {1, 0.5f, 0}));
  EXPECT_TRUE(near(first("65535 0 32768"), {1, 0, 0.5f}));
  EXPECT_TRUE(read_obj(to_bytes("v 0 0 0 1\nv 1 0 0 1\nv 0 1 0 1\nf 1 2 3\n"), "a.obj").colours.empty())
      << "weights";
}

TEST_F(Obj, MaterialsWithoutAColourAreWhite) {
  write_picture("tex.png");
  EXPECT_TRUE(near(colour_with("illum 2\nNs 10\nPr 0.5"), kWhite));
  EXPECT_TRUE(near(colour_with("Ka 0 0 0\nKs 1 1 1\nKe 0 0 0"), kWhite));
  EXPECT_TRUE(near(colour_with("map_Kd tex.png"), kRed));
  EXPECT_TRUE(near(colour_with("Kd 0 0 0"), {0, 0, 0}));
  EXPECT_TRUE(near(colour_with("Kd 0.5"), {0.5f, 0.5f, 0.5f})) << "one number stands for three";
  EXPECT_TRUE(near(colour_with("Kd nan 0 0"), kWhite));
  EXPECT_TRUE(near(colour_with("Kd 1e90 0 0"), kWhite));  // beyond a float
  EXPECT_TRUE(warned("material colours"));
}

TEST_F(Obj, MaterialsThatEmitAloneShowIt) {
  write_picture("tex.png");
  EXPECT_TRUE(near(colour_with("Ke 1 0 0"), kRed));
  EXPECT_TRUE(near(colour_with("Kd 0 0 0\nKe 0 1 0"), kGreen));
  EXPECT_TRUE(near(colour_with("Kd 0 0 1\nKe 0 1 0"), kBlue));
  EXPECT_TRUE(near(colour_with("Kd 0 0 0\nKe 1 1 1\nmap_Ke tex.png"), kRed));
}

TEST_F(Obj, AppliesTheOptionsOfMaps) {
  write_picture("tex.png");
  write_picture("my tex.png");
  // At u 0.125 and v 0.875, which is red, unless it is moved.
  const std::vector<std::pair<std::string, Vec3>> cases = {
      {"tex.png", kRed},
      {"-s 6 tex.png", kGreen},
      {"-s 6 1 tex.png", kGreen},
      {"-s 6 1 1 my tex.png", kGreen},
      {"-o 0.5 tex.png", kGreen},
      {"-o 0 0.5 0 tex.png", kBlue},
      {"-O 0.5 -0.5 0 \"my tex.png\"", kYellow},
      {"-texres 512 tex.png", kRed},
      {"-blendu on -blendv off -mm 0 1 -o 0.5 -0.5 0 -s 1 1 1 -clamp off -boost 1.2 -bm 1 -imfchan r tex.png",
       kYellow},
      {"-type sphere -t 0 0 0 -cc off tex.png", kRed},
      {"-s\t6\ttex.png", kGreen},
  };
  for (const auto& [map, colour] : cases) {
    EXPECT_TRUE(near(colour_with("Kd 1 1 1\nMAP_KD " + map), colour)) << map;
    EXPECT_TRUE(warnings_.empty()) << map;
  }
  EXPECT_TRUE(near(colour_with("map_Kd -clamp on tex.png", "1.25 0.875"), kGreen)) << "its right edge";
  EXPECT_TRUE(near(colour_with("map_Kd -clamp off tex.png", "1.25 0.875"), kRed));
  EXPECT_TRUE(near(colour_with("map_Kd -mm 0.5 0.5 tex.png"), kRed));
  EXPECT_TRUE(warned("-mm"));
  EXPECT_TRUE(near(colour_with("map_Kd -wobble 3 1 tex.png"), kRed));
  EXPECT_TRUE(warned("-wobble"));
}

TEST_F(Obj, FindsTexturesBesideTheMaterialsBesideTheMeshAndByName) {
  write_picture("tex.png");
  for (const std::string map : {"/home/artist/art/tex.png", "../images/tex.png", "..\\images\\tex.png",
                                "C:\\\\Users\\\\Artist\\\\tex.png", "C:\\work\\TEX.PNG"}) {
    EXPECT_TRUE(near(colour_with("map_Kd " + map), kRed)) << map;
    EXPECT_TRUE(warnings_.empty()) << map;
  }
  EXPECT_TRUE(near(colour_with("Kd 0 1 0\nmap_Kd ../elsewhere/gone.png"), kGreen));
  EXPECT_EQ(warnings_.size(), 1u);
  EXPECT_TRUE(warned("textures") && warned("gone.png"));
  write_picture("looks/maps/inner.png");
  write("looks/b.mtl", "newmtl m\nmap_Kd maps\\inner.png\n");
  for (const std::string library : {"looks/b.mtl", "looks\\b.mtl", "LOOKS/B.MTL"}) {
    write("b.obj", "mtllib " + library + "\n" + kSquare + "vt 0.125 0.875\nusemtl m\nf 1/1 2/1 3/1 4/1\n");
    EXPECT_TRUE(near(read("b.obj").colours[0], kRed)) << library;
  }
  write("c.obj", "mtllib ../../etc/c.mtl\n" + kSquare + "f 1 2 3 4\n");
  EXPECT_NEAR(read("c.obj").surface_area(), 1, 1e-6);
  EXPECT_TRUE(warned("materials") && warned("outside its folder"));
}

TEST_F(Obj, SaysWhatElseItLeavesOutOnceAKind) {
  write("a.obj", kSquare + "l 1 2\nl 2 3\np 1\nf 1 2\nf 1 2 3 4\ncurv 0 1 1 2\n");
  EXPECT_NEAR(read().surface_area(), 1, 1e-6);
  EXPECT_EQ(warnings_.size(), 3u);
  EXPECT_TRUE(warned("lines and points (3, the first: line 5)"));
  EXPECT_TRUE(warned("fewer than three corners"));
  EXPECT_TRUE(warned("free-form"));
}

TEST_F(Obj, FlatSpecksFarAwayDoNotStretchTheBox) {
  write("a.obj", kSquare + "v 9 9 9\nv 20 9 9\nf 1 2 3 4\nf 5 5 5\nf 1 5 6\n");
  write("b.obj", kSquare + "v 9 9 9\nf 1 2 3 4\nf 5 5 5\nf 1 2 2\n");
  const Mesh mesh = read("b.obj");
  EXPECT_EQ(mesh.triangles.size(), 3u) << "a flat triangle between others stays";
  EXPECT_EQ(mesh.bounds().extent(), (Vec3{1, 1, 0}));
  EXPECT_TRUE(warned("no area"));
  EXPECT_NE(input_error([&] { read_obj(to_bytes("v 1 1 1\nv 2 2 2\nf 1 2 1\n"), "a.obj"); }).find("area"),
            std::string::npos);
}

TEST_F(Obj, VerticesWithoutAColourAreWhiteWhateverOthersCountTo) {
  const auto colours = [](const std::string& colour) {
    return read_obj(to_bytes("v 0 0 0 " + colour + "\nv 1 0 0\nv 0 1 0 nan 0 0\nf 1 2 3\n"), "a.obj").colours;
  };
  for (const std::string red : {"255 0 0", "1 0 0", "65535 0 0"}) {
    ASSERT_EQ(colours(red).size(), 3u);
    EXPECT_TRUE(near(colours(red)[0], kRed)) << red;
    EXPECT_TRUE(near(colours(red)[1], kWhite)) << red;
    EXPECT_TRUE(near(colours(red)[2], kWhite)) << red;
  }
}

TEST_F(Obj, CommentsDoNotContinue) {
  const std::string text = "# made in C:\\\nv 0 0 0\nv 1 0 0 # right \\\nv 0 1 \\\n 0\nf 1 2 3\n";
  const Mesh mesh = read_obj(to_bytes(text), "a.obj");
  EXPECT_EQ(mesh.positions, (std::vector<Vec3>{{0, 0, 0}, {1, 0, 0}, {0, 1, 0}}));
}

TEST_F(Obj, PositionsBeyondFloatsAreRefused) {
  EXPECT_NE(input_error([&] {
              read_obj(to_bytes("v 0 0 0\nv 1e39 0 0\nv 0 1 0\nf 1 2 3\n"), "a.obj");
            }).find("line 2"),
            std::string::npos);
}

// What is read once is noted once.
TEST_F(Obj, ReadsALibraryOnceHoweverOftenItIsNamed) {
  write("a.mtl", "newmtl m\nKd 1 0 0\nKe nan 0 0\n");
  write("a.obj", "mtllib a.mtl\nmtllib a.mtl\nmtllib ./a.mtl A.MTL\n" + kSquare + "usemtl m\nf 1 2 3 4\n");
  EXPECT_TRUE(near(read().colours[0], kRed));
  ASSERT_EQ(warnings_.size(), 1u);
  EXPECT_TRUE(warned("(1: "));
}

TEST_F(Obj, ReadsOptionsBehindMapsAndComments) {
  write_picture("tex.png");
  write_picture("tex -s 6.png");
  write_picture("tex #1.png");
  const std::vector<std::pair<std::string, Vec3>> cases = {
      {"map_Kd tex.png -s 6 1 1", kGreen},
      {"map_Kd tex.png -o 0 0.5 0 -clamp off", kBlue},
      {"map_Kd tex.png -o 0.5 # moved", kGreen},
      {"map_Kd tex -s 6.png", kRed},
      {"map_Kd -colorspace sRGB tex.png", kRed},
      {"map_Kd tex.png # wood", kRed},
      {"map_Kd tex #1.png", kRed},
  };
  for (const auto& [map, colour] : cases) {
    EXPECT_TRUE(near(colour_with(map), colour)) << map;
    EXPECT_TRUE(warnings_.empty()) << map << ": " << (warnings_.empty() ? "" : warnings_[0]);
  }
  EXPECT_TRUE(near(colour_with("Kd 0.5 # grey"), {0.5f, 0.5f, 0.5f}));
  EXPECT_TRUE(near(colour_with("map_Kd -colorspace linear tex.png"), kRed));
  EXPECT_TRUE(warned("-colorspace linear"));
}

TEST_F(Obj, FindsMaterialsWhoseNamesHaveCommentsAndNotesOthers) {
  write("a.mtl", "newmtl red # by X\nKd 1 0 0\nnewmtl wood #2\nKd 0 0 1\nnewmtl wood\nKd 0 1 0\n");
  const auto read_with = [&](const std::string& name) {
    write("a.obj", "mtllib a.mtl\n" + kSquare + "usemtl " + name + "\nf 1 2 3 4\n");
    const Mesh mesh = read();
    return mesh.colours.empty() ? Vec3{-1, -1, -1} : mesh.colours[0];
  };
  EXPECT_TRUE(near(read_with("red"), kRed));
  EXPECT_TRUE(near(read_with("red # mine"), kRed));
  EXPECT_TRUE(near(read_with("wood"), kGreen)) << "exact names come first";
  EXPECT_TRUE(near(read_with("wood #2"), kBlue));
  EXPECT_TRUE(warnings_.empty());
  read_with("foo");
  ASSERT_EQ(warnings_.size(), 1u);
  EXPECT_TRUE(warned("no file describes") && warned("foo"));
}

TEST(Mtl, TruncationsAndByteFlipsNeverCrash) {
  const std::string valid =
      "\xEF\xBB\xBFnewmtl a b\nKd 1 0.5\nKe 0 0 1\nmap_Kd -s 1 2 3 -o 0 0 -clamp on \"a b.png\"\n";
  const auto parse = [](const std::string& text) {
    ReadNotes notes;
    for (const MtlMaterial& material : parse_mtl(text, notes))
      if (material.diffuse_map) EXPECT_FALSE(material.diffuse_map->file.empty());
    EXPECT_LE(notes.notes().size(), 3u);
  };
  test::for_each_damage(valid, parse);
}

}  // namespace
}  // namespace omni::geometry
