#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <map>

#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/data/csv.h"
#include "omni/data/data_set.h"
#include "omni/data/procedural_world.h"
#include "omni/geometry/mesh_files.h"
#include "omni/geometry/mesh_frame.h"
#include "temporary_directory.h"

namespace omni::data {
namespace {

namespace fs = std::filesystem;

class Import : public testing::Test {
 protected:
  void SetUp() override {
    fs::create_directories(folder_ / "meshes" / "chairs");
    const ProceduralSource source({.seed = 1, .count = 3});
    chair_ = source.load(0).mesh;
    for (geometry::Vec3& p : chair_.positions) p = p * 0.5f + geometry::Vec3{3, 4, 5};
    geometry::write_mesh(folder_ / "meshes" / "chairs" / "a chair.glb", chair_);
    geometry::write_mesh(folder_ / "meshes" / "b.ply", source.load(1).mesh);
    write_file_atomically(folder_ / "meshes" / "broken.glb", std::string_view("glTF nonsense"));
    write_file_atomically(folder_ / "meshes" / "nan.obj",
                          std::string_view("v nan 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n"));
    write_file_atomically(folder_ / "meshes" / "empty.obj", std::string_view("v 0 0 0\n"));
  }

  ImportReport run(const std::string& csv, ImportOptions options = {}) {
    write_file_atomically(folder_ / "captions.csv", csv);
    options.folders = {{folder_ / "meshes", folder_ / "captions.csv"}};
    options.renders = 1;
    options.render_size = 16;
    return import_data_set(folder_ / "out", options);
  }
  std::string refusal(const ImportOptions& options, ErrorKind kind) {
    try {
      import_data_set(folder_ / "out", options);
      ADD_FAILURE() << "accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), kind) << error.what();
      EXPECT_FALSE(fs::exists(folder_ / "out"));
      return error.what();
    }
    return "";
  }

  const test::TemporaryDirectory folder_;
  geometry::Mesh chair_;
};

TEST_F(Import, MakesADataSetAndListsWhatItSkips) {
  const ImportReport report =
      run("caption,path\r\n\"a red, nice chair\",chairs/a chair.glb\r\nanother wording,chairs/a chair.glb\r\n"
          "a thing,b.ply\r\nx,broken.glb\r\nx,nan.obj\r\nx,empty.obj\r\nx,missing.stl\r\n",
          {.held_out_share = 0});
  EXPECT_EQ(report.imported, 2);
  EXPECT_EQ(report.skipped.size(), 4u);
  const CsvTable skipped = parse_csv(read_file_text(folder_ / "out" / "skipped.csv"), "skipped.csv");
  EXPECT_EQ(skipped.rows.size(), 4u);

  const FolderSource set(folder_ / "out");
  ASSERT_EQ(set.size(), 2);
  const ObjectRecord chair = set.load(0);
  EXPECT_EQ(chair.id, "chairs_a_chair");
  EXPECT_EQ(chair.class_name, "chairs");
  ASSERT_EQ(chair.captions.size(), 2u);
  EXPECT_EQ(chair.captions[0].text, "a red, nice chair");
  EXPECT_EQ(chair.captions[0].kind, CaptionKind::partial);
  EXPECT_NEAR(chair.longest_side_m, 0.96, 1e-4);
  const geometry::Vec3 extent = chair.mesh.bounds().extent();
  EXPECT_NEAR(std::max({extent.x, extent.y, extent.z}), 1.92, 1e-4);
  EXPECT_NEAR(length(chair.mesh.bounds().centre()), 0, 1e-4);
  EXPECT_EQ(set.load(1).class_name, "meshes");
  // The label of the mesh agrees with the closed form that the mesh came from.
  const ObjectRecord truth = ProceduralSource({.seed = 1, .count = 3}).load(0);
  EXPECT_GT(geometry::volume_iou(*chair.field, *truth.field, 32), 0.95);
}

TEST_F(Import, RecordsHowEachMeshIsLabelled) {
  geometry::Mesh doubled = geometry::read_mesh(folder_ / "meshes" / "b.ply");
  const std::size_t count = doubled.triangles.size();
  for (std::size_t i = 0; i < count; ++i) {
    const auto t = doubled.triangles[i];
    doubled.triangles.push_back({t[0], t[2], t[1]});
  }
  geometry::write_mesh(folder_ / "meshes" / "doubled.ply", doubled);
  const std::string csv = "path,caption\nb.ply,a thing\ndoubled.ply,a thing\n";
  const ImportReport report = run(csv, {.epsilon = 0.05f});
  EXPECT_EQ(report.labels.at("winding"), 1);
  EXPECT_EQ(report.labels.at("flood"), 1);
  const std::string lines = read_file_text(folder_ / "out" / "objects.jsonl");
  EXPECT_NE(lines.find("\"mode\":\"winding\",\"orientation_consistency\":1"), std::string::npos) << lines;
  EXPECT_NE(lines.find("\"mode\":\"flood\""), std::string::npos);
  EXPECT_NE(read_file_text(folder_ / "out" / "dataset.json").find("\"epsilon\": 0.05"), std::string::npos);
  // The choice is kept when the set is read.
  const ObjectRecord loaded = FolderSource(folder_ / "out").load(1);
  const auto* field = dynamic_cast<const geometry::MeshField*>(loaded.field.get());
  ASSERT_NE(field, nullptr);
  EXPECT_EQ(field->chosen_mode(), geometry::LabelMode::flood);
  run(csv, {.label = geometry::LabelMode::winding});
  EXPECT_EQ(read_file_text(folder_ / "out" / "objects.jsonl").find("flood"), std::string::npos);
}

TEST_F(Import, TurnsZUpFiles) {
  run("path,caption\nb.ply,a thing\n", {.z_up = true});
  const geometry::Mesh turned = FolderSource(folder_ / "out").load(0).mesh;
  const geometry::Vec3 before = ProceduralSource({.seed = 1, .count = 3}).load(1).mesh.bounds().extent();
  EXPECT_NEAR(turned.bounds().extent().y, before.z, 1e-3);
  EXPECT_NEAR(turned.bounds().extent().z, before.y, 1e-3);
  EXPECT_GT(turned.signed_volume(), 0);
}

// A shape that was decoded from codes, as sampling writes it: it fills its tokenizer's frame nearly, off the middle, in metres.
TEST_F(Import, AGlbThatTellsItsFrameIsReadInIt) {
  geometry::Mesh decoded = ProceduralSource({.seed = 1, .count = 3}).load(0).mesh;
  for (geometry::Vec3& p : decoded.positions) p = p * 0.98f + geometry::Vec3{0.02f, -0.01f, 0.03f};
  const geometry::Normalisation frame{{0.25f, 0.5f, -0.125f}, 2};
  geometry::Mesh written = decoded;
  for (geometry::Vec3& p : written.positions) p = p / frame.scale + frame.centre;
  write_file_atomically(folder_ / "meshes" / "sampled.glb",
                        std::span<const std::byte>(geometry::encode_glb(written, frame)));
  const auto expect_in_frame = [&](const ObjectRecord& read, const auto& turned) {
    ASSERT_EQ(read.mesh.positions.size(), decoded.positions.size());
    for (std::size_t i = 0; i < decoded.positions.size(); ++i)
      EXPECT_LT(length(read.mesh.positions[i] - turned(decoded.positions[i])), 1e-6f) << i;
    EXPECT_NEAR(read.longest_side_m, 0.96, 1e-6) << "the frame's, not the mesh's";
  };
  const std::string csv = "path,caption\nsampled.glb,a thing\n";
  run(csv);
  expect_in_frame(FolderSource(folder_ / "out").load(0), [](const geometry::Vec3& p) { return p; });
  run(csv, {.z_up = true});
  expect_in_frame(FolderSource(folder_ / "out").load(0), [](const geometry::Vec3& p) {
    return geometry::Vec3{p.x, p.z, -p.y};
  });
  // One that was changed since is read by its own box.
  for (geometry::Vec3& p : written.positions) p.y *= 3;
  write_file_atomically(folder_ / "meshes" / "sampled.glb",
                        std::span<const std::byte>(geometry::encode_glb(written, frame)));
  run(csv);
  EXPECT_NEAR(length(FolderSource(folder_ / "out").load(0).mesh.bounds().centre()), 0, 1e-4);
}

TEST_F(Import, SkipsMeshesOfImpossibleSizeAndCanBeOpenedAgain) {
  for (const char* side : {"1e38", "1e-30"}) {
    write_file_atomically(folder_ / "meshes" / (std::string(side) + ".obj"),
                          std::string_view(concat("v 0 0 0\nv ", side, " 0 0\nv 0 ", side, " 0\nv 0 0 ", side,
                                                  "\nf 1 3 2\nf 1 2 4\nf 2 3 4\nf 3 1 4\n")));
  }
  const ImportReport report = run("path,caption\n1e38.obj,a\n1e-30.obj,b\nb.ply,c\n");
  EXPECT_EQ(report.imported, 1);
  ASSERT_EQ(report.skipped.size(), 2u);
  EXPECT_NE(report.skipped[0].reason.find("longest side"), std::string::npos) << report.skipped[0].reason;
  EXPECT_EQ(FolderSource(folder_ / "out").size(), 1);
}

TEST_F(Import, HoldsOutAShareByHash) {
  run("path,caption\nb.ply,a thing\n", {.held_out_share = 1});
  EXPECT_EQ(FolderSource(folder_ / "out").describe(0).split, Split::new_instance);
}

TEST_F(Import, TakesTheClassColumn) {
  run("path,caption,class\nb.ply,a thing,gadget\n");
  EXPECT_EQ(FolderSource(folder_ / "out").describe(0).class_name, "gadget");
}

TEST_F(Import, TakesFileNamesAsCaptions) {
  geometry::write_mesh(folder_ / "meshes" / "old_wooden-chair.glb", chair_);
  geometry::write_mesh(folder_ / "meshes" / "__.ply", chair_);
  const ImportReport report = import_data_set(folder_ / "out", {.folders = {{folder_ / "meshes", {}}}});
  EXPECT_EQ(report.imported, 4);
  EXPECT_EQ(report.skipped.size(), 3u);
  const FolderSource set(folder_ / "out");
  std::map<std::string, std::vector<std::string>> captions;
  for (std::int64_t i = 0; i < set.size(); ++i) {
    const ObjectRecord record = set.describe(i);
    for (const Caption& caption : record.captions) captions[record.id].push_back(caption.text);
    EXPECT_EQ(record.class_name, record.id == "chairs_a_chair" ? "chairs" : "meshes");
    EXPECT_TRUE(set.views(i).empty());  // nobody asked for pictures
  }
  const std::map<std::string, std::vector<std::string>> expected = {
      {"b", {"b"}}, {"chairs_a_chair", {"a chair"}}, {"old_wooden-chair", {"old wooden chair"}}};
  EXPECT_EQ(captions, expected);
}

TEST_F(Import, WithoutCaptionsSaysWhatToGive) {
  const std::string reason =
      refusal({.folders = {{folder_ / "meshes", folder_ / "meshes" / "captions.csv"}}}, ErrorKind::io);
  for (const char* part : {"captions.csv", "--captions", "path", "caption", "class", "--captions names"})
    EXPECT_NE(reason.find(part), std::string::npos) << reason;
  fs::create_directory(folder_ / "empty");
  EXPECT_NE(refusal({.folders = {{folder_ / "empty", {}}}}, ErrorKind::input).find("no mesh"),
            std::string::npos);
}

TEST_F(Import, RefusesNumbersThatMeanNothing) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<ImportFolder> folders = {{folder_ / "meshes", {}}};
  for (const double share : {double{nan}, -0.1, 1.5, double{std::numeric_limits<float>::infinity()}})
    refusal({.folders = folders, .held_out_share = share}, ErrorKind::usage);
  for (const float epsilon : {nan, 0.0f, -1.0f, 1.0f})
    refusal({.folders = folders, .epsilon = epsilon}, ErrorKind::usage);
  for (const int size : {0, 7, 4096}) refusal({.folders = folders, .render_size = size}, ErrorKind::usage);
  refusal({.folders = folders, .renders = 5}, ErrorKind::usage);
}

TEST_F(Import, NamesTheColumnsThatItFound) {
  try {
    run("file,text\nb.ply,a thing\n");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    for (const char* part : {"captions.csv:1", "\"path\"", "\"file\"", "\"text\""})
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

TEST_F(Import, ABadRowCostsItselfAndIsTold) {
  const std::string csv = std::string(
      "path,caption\nb.ply,a thing\nb.ply,a \0 thing\nb.ply,red, big\nb.ply,one, two\n,none\n", 79);
  const ImportReport report = run(csv);
  EXPECT_EQ(report.imported, 1);
  ASSERT_EQ(report.warnings.size(), 3u);
  const CsvTable table = parse_csv(read_file_text(folder_ / "out" / "warnings.csv"), "warnings.csv");
  ASSERT_EQ(table.rows.size(), 3u);
  EXPECT_EQ(table.columns, (std::vector<std::string>{"path", "warning"}));
  std::string all;
  for (const CsvRow& row : table.rows) {
    EXPECT_NE(row.fields[0].find("captions.csv"), std::string::npos);
    all += row.fields[1] + "\n";
  }
  EXPECT_NE(all.find("number of fields"), std::string::npos) << all;
  EXPECT_NE(all.find("(2, the first: line 4"), std::string::npos) << all;
  EXPECT_NE(all.find("NUL"), std::string::npos) << all;
  EXPECT_NE(all.find("empty path"), std::string::npos) << all;
}

TEST_F(Import, WarnsOfWhatMeshesAreWithout) {
  write_file_atomically(folder_ / "meshes" / "bare.obj",
                        std::string_view("mtllib gone.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nvn nan 0 0\n"
                                         "f 1//1 3//1 2//1\nf 1 2 4\nf 2 3 4\nf 3 1 4\nl 1 2\n"));
  const ImportReport report = run("path,caption\nbare.obj,a thing\nb.ply,another\n");
  EXPECT_EQ(report.imported, 2);
  ASSERT_EQ(report.warnings.size(), 3u);
  for (const FileWarning& warning : report.warnings)
    EXPECT_NE(warning.path.find("bare.obj"), std::string::npos) << warning.path;
  EXPECT_EQ(parse_csv(read_file_text(folder_ / "out" / "warnings.csv"), "warnings.csv").rows.size(), 3u);
}

TEST_F(Import, FindsPathsWithBackSlashes) {
  EXPECT_EQ(run("path,caption\nchairs\\a chair.glb,a chair\n").imported, 1);
  EXPECT_EQ(FolderSource(folder_ / "out").describe(0).id, "chairs_a_chair");
}

TEST_F(Import, EscapesWhatItQuotes) {
  try {
    run("fi\x1b[31mle,te\rxt\nb.ply,a thing\n");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()).find('\x1b'), std::string::npos);
    EXPECT_NE(std::string(error.what()).find("\\x1b"), std::string::npos) << error.what();
  }
}

TEST_F(Import, NamesThatAreNotUtf8GiveNoCaption) {
  geometry::write_mesh(folder_ / "meshes" / "caf\xE9.ply", chair_);
  const ImportReport report = import_data_set(folder_ / "out", {.folders = {{folder_ / "meshes", {}}}});
  ASSERT_EQ(report.warnings.size(), 1u);
  const FolderSource set(folder_ / "out");
  for (std::int64_t i = 0; i < set.size(); ++i)
    for (const Caption& caption : set.describe(i).captions)
      EXPECT_EQ(caption.text.find("caf"), std::string::npos) << caption.text;
}

// An older data set is replaced; what else lies in its folder, and the meshes themselves, are not.
TEST_F(Import, ReplacesNothingButDataSets) {
  for (int i = 0; i < 2; ++i) run("path,caption\nb.ply,x\n");
  write_file_atomically(folder_ / "out" / "thesis.txt", std::string_view("mine"));
  EXPECT_THROW(run("path,caption\nb.ply,x\n"), Error);
  EXPECT_TRUE(fs::exists(folder_ / "out" / "thesis.txt"));
  ImportOptions options;
  options.folders = {{folder_ / "meshes", fs::path()}};
  for (const fs::path& out : {folder_.path(), folder_ / "meshes"}) {
    write_file_atomically(out / "dataset.json", std::string_view("{}"));
    EXPECT_THROW(import_data_set(out, options), Error) << out;
    EXPECT_TRUE(fs::exists(folder_ / "meshes" / "b.ply"));
  }
}

TEST_F(Import, LeavesNothingWhereNoMeshCanBeRead) {
  EXPECT_THROW(run("path,caption\nbroken.glb,x\n"), Error);
  EXPECT_FALSE(fs::exists(folder_ / "out"));
  EXPECT_THROW(run("path,caption\n"), Error);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_.path()), {}), 2);  // meshes and captions.csv
}

}  // namespace
}  // namespace omni::data
