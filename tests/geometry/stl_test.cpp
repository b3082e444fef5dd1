#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cstring>

#include "coloured_shapes.h"
#include "readers.h"

namespace omni::geometry {
namespace {

using testing::box_mesh;
using testing::input_error;
using testing::read_stl;
using testing::to_bytes;

std::string text_of(const Mesh& mesh, const std::string& name) {
  std::string text = "solid " + name + "\n";
  for (const auto& t : mesh.triangles) {
    text += " facet normal 0 0 0\n  outer loop\n";
    for (const std::uint32_t i : t)
      text +=
          concat("   vertex ", mesh.positions[i].x, " ", mesh.positions[i].y, " ", mesh.positions[i].z, "\n");
    text += "  endloop\n endfacet\n";
  }
  return text + "endsolid " + name + "\n";
}

const Mesh kBox = box_mesh({1, 1, 1}, 1);

TEST(Stl, TellsTextByItsContent) {
  const std::string plain = text_of(kBox, "part");
  std::string upper = plain, spaced = plain;
  std::transform(upper.begin(), upper.end(), upper.begin(),
                 [](unsigned char c) { return char(std::toupper(c)); });
  for (std::size_t at = 0; (at = spaced.find("endloop", at)) != std::string::npos;)
    spaced.replace(at, 7, "end loop");
  std::string returns = plain;
  std::replace(returns.begin(), returns.end(), '\n', '\r');
  const std::vector<std::string> forms = {plain,
                                          upper,
                                          spaced,
                                          returns,
                                          "Solid Unity" + plain.substr(10),
                                          " " + plain,
                                          "\n\n" + plain,
                                          "\t\r\n" + plain,
                                          "\xEF\xBB\xBF" + plain,
                                          "solid" + plain.substr(10),
                                          "solid a facet of my vertex endloop" + plain.substr(10)};
  for (const std::string& form : forms) {
    const Mesh mesh = read_stl(to_bytes(form), "a.stl");
    EXPECT_EQ(mesh.triangles.size(), 12u) << form.substr(0, 40);
    EXPECT_NEAR(mesh.signed_volume(), 8, 1e-5);
  }
  EXPECT_EQ(read_stl(to_bytes(plain + text_of(kBox, "other")), "a.stl").triangles.size(), 24u)
      << "several solids";
}

std::vector<std::byte> binary(std::uint32_t promised, const std::string& header = "",
                              std::size_t left_out = 0) {
  std::vector<std::byte> bytes = encode_stl(kBox);
  std::memset(bytes.data(), 0, 80);
  std::memcpy(bytes.data(), header.data(), header.size());
  std::memcpy(bytes.data() + 80, &promised, sizeof promised);
  bytes.resize(bytes.size() - left_out);
  return bytes;
}

std::vector<std::string> warnings_of(const std::vector<std::byte>& bytes, std::size_t triangles = 12) {
  ReadNotes notes;
  EXPECT_EQ(geometry::read_stl(bytes, "a.stl", notes).triangles.size(), triangles);
  return notes.lines();
}

TEST(Stl, CountsTrianglesByTheSizeOfTheFile) {
  for (const std::uint32_t promised : {0u, 5u, 0xffffffffu}) {
    const auto warnings = warnings_of(binary(promised));
    ASSERT_EQ(warnings.size(), 1u) << promised;
    EXPECT_NE(warnings[0].find(std::to_string(promised)), std::string::npos);
    EXPECT_NE(warnings[0].find("12"), std::string::npos);
  }
  for (const std::uint32_t promised : {13u, 1000u}) {
    const std::string message = input_error([&] { read_stl(binary(promised), "a.stl"); });
    EXPECT_NE(message.find("promises " + std::to_string(promised)), std::string::npos) << message;
    EXPECT_NE(message.find("hold 12"), std::string::npos) << message;
  }
  EXPECT_NE(input_error([&] { read_stl(binary(12, "", 7), "a.stl"); }).find("hold 11"), std::string::npos);
  EXPECT_TRUE(warnings_of(binary(12, "solid as a rock, and binary")).empty());
  EXPECT_EQ(warnings_of(binary(0, "solid")).size(), 1u);
  auto longer = binary(12);
  longer.resize(longer.size() + 30);
  EXPECT_EQ(warnings_of(longer).size(), 1u) << "bytes behind the last triangle";
}

void colour(std::vector<std::byte>& bytes, std::size_t facet, std::uint16_t value) {
  std::memcpy(bytes.data() + 84 + 50 * facet + 48, &value, sizeof value);
}

TEST(Stl, ReadsColoursOfBothManners) {
  auto viscam = binary(12);
  for (std::size_t i = 0; i < 12; ++i) colour(viscam, i, i < 6 ? 0x8000 | 31 << 10 : 0x8000 | 31);
  const Mesh first = read_stl(viscam, "a.stl");
  const auto colour_of = [](const Mesh& mesh, std::size_t t) { return mesh.colours[mesh.triangles[t][0]]; };
  EXPECT_EQ(colour_of(first, 0), (Vec3{1, 0, 0}));
  EXPECT_EQ(colour_of(first, 11), (Vec3{0, 0, 1}));
  auto magics = binary(12, "by a program COLOR=" + std::string("\x00\xff\x00\xff", 4) + ",MATERIAL=");
  for (std::size_t i = 0; i < 12; ++i) colour(magics, i, i < 6 ? 31 : 0x8000);
  const Mesh second = read_stl(magics, "a.stl");
  EXPECT_EQ(colour_of(second, 0), (Vec3{1, 0, 0}));
  EXPECT_EQ(colour_of(second, 11), (Vec3{0, 1, 0}));
  EXPECT_NEAR(second.signed_volume(), 8, 1e-5);
  EXPECT_TRUE(read_stl(binary(12), "a.stl").colours.empty());
}

TEST(Stl, LeavesOutWhatLiesBehindTheTrianglesAndIsNone) {
  for (const char filling : {'\0', 'x', '\n'}) {
    for (const std::size_t more : {50u, 100u, 117u}) {
      auto bytes = binary(12);
      bytes.resize(bytes.size() + more, static_cast<std::byte>(filling));
      const auto warnings = warnings_of(bytes);
      ASSERT_EQ(warnings.size(), 1u);
      EXPECT_NE(warnings[0].find("without the bytes behind"), std::string::npos) << warnings[0];
    }
  }
}

TEST(Stl, ReadsAllTrianglesBehindAWrongCountAndStrayBytes) {
  auto bytes = binary(5);
  bytes.resize(bytes.size() + 2);
  const auto warnings = warnings_of(bytes);
  ASSERT_EQ(warnings.size(), 2u);
  EXPECT_NE(warnings[0].find("promises 5 triangles, and 12"), std::string::npos) << warnings[0];
}

}  // namespace
}  // namespace omni::geometry
