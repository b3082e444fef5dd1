// Units and axes that formats state, as read_mesh() applies them.
#include <gtest/gtest.h>
#include <zlib.h>

#include "coloured_shapes.h"
#include "omni/core/files.h"
#include "omni/geometry/mesh_files.h"
#include "temporary_directory.h"
#include "zip_member.h"

namespace omni::geometry {
namespace {

// A box of 1 x 1 x 2 whose coordinates are those of the file.
const Mesh kBox = testing::box_mesh({0.5f, 0.5f, 1}, 1);

std::string joined(const auto& values, const auto& text_of, const char* between) {
  std::string text;
  for (const auto& value : values) text += (text.empty() ? "" : between) + text_of(value);
  return text;
}
std::string numbers(const char* between = " ") {
  return joined(
      kBox.positions, [&](Vec3 p) { return concat(p.x, between, p.y, between, p.z); }, between);
}

Bounds read(const std::string& file, const std::string& text) {
  const test::TemporaryDirectory folder;
  write_file_atomically(folder / file, text);
  const Mesh mesh = read_mesh(folder / file);
  EXPECT_GT(mesh.signed_volume(), 0) << "turned inside out";
  return mesh.bounds();
}
void expect_extent(const Bounds& bounds, Vec3 expected, const std::string& why) {
  const Vec3 extent = bounds.extent();
  EXPECT_LT(length(extent - expected), 1e-4f * length(expected))
      << why << ": " << extent.x << ' ' << extent.y << ' ' << extent.z;
}

struct FbxSettings {
  int up = 1, up_sign = 1, front = 2, front_sign = 1, right = 0, right_sign = 1;
  double unit = 100;
};
std::string fbx(const FbxSettings& s) {
  const auto setting = [](const char* name, int value) {
    return concat("\t\tP: \"", name, "\", \"int\", \"Integer\", \"\",", value, "\n");
  };
  const std::string indices = joined(
      kBox.triangles, [](const auto& t) { return concat(t[0], ",", t[1], ",", -int(t[2]) - 1); }, ",");
  return concat(
      "; FBX 7.4.0 project file\nFBXHeaderExtension:  {\n\tFBXHeaderVersion: 1003\n\tFBXVersion: 7400\n}\n",
      "GlobalSettings:  {\n\tVersion: 1000\n\tProperties70:  {\n", setting("UpAxis", s.up),
      setting("UpAxisSign", s.up_sign), setting("FrontAxis", s.front), setting("FrontAxisSign", s.front_sign),
      setting("CoordAxis", s.right), setting("CoordAxisSign", s.right_sign),
      "\t\tP: \"UnitScaleFactor\", \"double\", \"Number\", \"\",", s.unit, "\n\t}\n}\n",
      "Objects:  {\n\tGeometry: 1000, \"Geometry::box\", \"Mesh\" {\n\t\tVertices: *72 {\n\t\t\ta: ",
      numbers(","), "\n\t\t}\n\t\tPolygonVertexIndex: *36 {\n\t\t\ta: ", indices,
      "\n\t\t}\n\t\tGeometryVersion: 124\n\t}\n\tModel: 2000, \"Model::box\", \"Mesh\" {\n\t\tVersion: 232\n\t}\n}\n",
      "Connections:  {\n\tC: \"OO\",2000,0\n\tC: \"OO\",1000,2000\n}\n");
}

TEST(StatedFrame, OfFbxIsAppliedWithUnitsAndSigns) {
  expect_extent(read("a.fbx", fbx({})), {1, 1, 2}, "Y up, metres");
  expect_extent(read("a.fbx", fbx({.up = 2, .front = 1, .front_sign = -1})), {1, 2, 1}, "Z up");
  expect_extent(read("a.fbx", fbx({.up = 2, .front = 1, .front_sign = -1, .unit = 1})), {0.01f, 0.02f, 0.01f},
                "Z up, centimetres");
  expect_extent(read("a.fbx", fbx({.up = 0, .front = 2, .right = 1, .right_sign = -1, .unit = 2.54})),
                {0.0254f, 0.0254f, 0.0508f}, "X up, inches");
  expect_extent(read("a.fbx", fbx({.up = 1, .front = 1})), {1, 1, 2},
                "axes that contradict each other are ignored");
  const Bounds plain = read("a.fbx", fbx({})), down = read("a.fbx", fbx({.up_sign = -1, .front_sign = -1}));
  expect_extent(down, plain.extent(), "upside down");
}

std::string amf(const std::string& unit) {
  const auto vertex = [](Vec3 p) {
    return concat("<vertex><coordinates><x>", p.x, "</x><y>", p.y, "</y><z>", p.z,
                  "</z></coordinates></vertex>");
  };
  const auto triangle = [](const auto& t) {
    return concat("<triangle><v1>", t[0], "</v1><v2>", t[1], "</v2><v3>", t[2], "</v3></triangle>");
  };
  return concat("<?xml version=\"1.0\"?>\n<amf", unit, "><object id=\"0\"><mesh><vertices>",
                joined(kBox.positions, vertex, ""), "</vertices><volume>",
                joined(kBox.triangles, triangle, ""), "</volume></mesh></object></amf>");
}

TEST(StatedFrame, OfAmfAndX3dIsApplied) {
  expect_extent(read("a.amf", amf("")), {0.001f, 0.001f, 0.002f}, "millimetres unless it says otherwise");
  expect_extent(read("a.amf", amf(" unit=\"inch\" version='1.1'")), {0.0254f, 0.0254f, 0.0508f}, "inches");
  const std::string indices = joined(
      kBox.triangles, [](const auto& t) { return concat(t[0], " ", t[1], " ", t[2], " -1"); }, " ");
  const auto x3d = [&](const std::string& head) {
    return concat("<?xml version=\"1.0\"?><X3D version=\"3.3\" profile=\"Immersive\"><head>", head,
                  "</head><Scene><Shape><IndexedFaceSet coordIndex=\"", indices, "\"><Coordinate point=\"",
                  numbers(), "\"/></IndexedFaceSet></Shape></Scene></X3D>");
  };
  expect_extent(read("a.x3d", x3d("")), {1, 1, 2}, "metres");
  expect_extent(read("a.x3d", x3d("<unit name='degree' category='angle' conversionFactor='0.0174'/>"
                                  "<unit category=\"length\" name=\"foot\" conversionFactor=\"0.3048\"/>")),
                {0.3048f, 0.3048f, 0.6096f}, "feet");
}

// A ZIP archive of the given files.
std::string zip(const std::vector<std::pair<std::string, std::string>>& files, bool deflated) {
  const auto number = [](std::size_t value, int bytes) {
    std::string out;
    for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> 8 * i);
    return out;
  };
  std::string archive, directory;
  for (const auto& [name, text] : files) {
    std::string packed = text;
    if (deflated) {
      z_stream stream{};
      deflateInit2(&stream, 9, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
      packed.resize(deflateBound(&stream, text.size()) + 16);
      stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
      stream.avail_in = static_cast<uInt>(text.size());
      stream.next_out = reinterpret_cast<Bytef*>(packed.data());
      stream.avail_out = static_cast<uInt>(packed.size());
      deflate(&stream, Z_FINISH);
      packed.resize(stream.total_out);
      deflateEnd(&stream);
    }
    const auto checksum =
        crc32(0, reinterpret_cast<const Bytef*>(text.data()), static_cast<uInt>(text.size()));
    const std::string common = number(20, 2) + number(0, 2) + number(deflated ? 8 : 0, 2) + number(0, 4) +
                               number(checksum, 4) + number(packed.size(), 4) + number(text.size(), 4) +
                               number(name.size(), 2) + number(0, 2);
    directory += "PK\1\2" + number(20, 2) + common + number(0, 2) + number(0, 2) + number(0, 2) +
                 number(0, 4) + number(archive.size(), 4) + name;
    archive += "PK\3\4" + common + name + packed;
  }
  return archive + directory + "PK\5\6" + number(0, 4) + number(files.size(), 2) + number(files.size(), 2) +
         number(directory.size(), 4) + number(archive.size(), 4) + number(0, 2);
}

std::string model_3mf(const std::string& unit) {
  const auto vertex = [](Vec3 p) {
    return concat("<vertex x=\"", p.x, "\" y=\"", p.y, "\" z=\"", p.z, "\"/>");
  };
  const auto triangle = [](const auto& t) {
    return concat("<triangle v1=\"", t[0], "\" v2=\"", t[1], "\" v3=\"", t[2], "\"/>");
  };
  return concat(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- a model --><model", unit,
      " xmlns=\"http://schemas.microsoft.com/3dmanufacturing/core/2015/02\"><resources><object id=\"1\" "
      "type=\"model\"><mesh><vertices>",
      joined(kBox.positions, vertex, ""), "</vertices><triangles>", joined(kBox.triangles, triangle, ""),
      "</triangles></mesh></object></resources><build><item objectid=\"1\"/></build></model>");
}

std::string archive_3mf(const std::string& unit, bool deflated) {
  return zip(
      {{"[Content_Types].xml",
        "<?xml version=\"1.0\"?><Types xmlns=\"http://schemas.openxmlformats.org/package/2006/content-types\"/>"},
       {"_rels/.rels",
        "<?xml version=\"1.0\"?><Relationships "
        "xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\"><Relationship "
        "Target=\"/3D/3dmodel.model\" Id=\"rel0\" "
        "Type=\"http://schemas.microsoft.com/3dmanufacturing/2013/01/3dmodel\"/></Relationships>"},
       {"3D/3dmodel.model", model_3mf(unit)}},
      deflated);
}

TEST(StatedFrame, Of3mfIsApplied) {
  for (const bool deflated : {false, true}) {
    expect_extent(read("a.3mf", archive_3mf("", deflated)), {0.001f, 0.002f, 0.001f}, "millimetres and Z up");
    expect_extent(read("a.3mf", archive_3mf(" unit=\"centimeter\"", deflated)), {0.01f, 0.02f, 0.01f},
                  "centimetres");
    expect_extent(read("a.3mf", archive_3mf(" unit = 'foot'", deflated)), {0.3048f, 0.6096f, 0.3048f},
                  "feet");
  }
}

TEST(ZipMember, ReadsWhatIsThereAndBearsDamage) {
  const std::string text(100000, 'x');
  for (const bool deflated : {false, true}) {
    const std::string archive = zip({{"a.txt", "first"}, {"b.model", text}, {"c.model", "third"}}, deflated);
    const auto bytes = testing::to_bytes(archive);
    EXPECT_EQ(read_zip_member(bytes, "a.txt", ".model", 100), "first");
    EXPECT_EQ(read_zip_member(bytes, "c.model", ".model", 100), "third");
    EXPECT_EQ(read_zip_member(bytes, "gone", ".model", 1000), text.substr(0, 1000));
    EXPECT_EQ(read_zip_member(bytes, "gone", ".gone", 1000), "");
    for (std::size_t i = 0; i < bytes.size(); i += 1 + bytes.size() / 500) {
      read_zip_member(std::span(bytes).first(i), "a.txt", "", 100);
      auto flipped = bytes;
      for (const std::size_t place : {i, bytes.size() - 1 - i % 200}) flipped[place] ^= std::byte(0xff);
      EXPECT_LE(read_zip_member(flipped, "b.model", "", 100).size(), 100u);
    }
  }
}

}  // namespace
}  // namespace omni::geometry
