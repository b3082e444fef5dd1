#include "omni/data/open_source.h"

#include <gtest/gtest.h>

#include <limits>

#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/data/data_set.h"
#include "omni/data/procedural_world.h"
#include "omni/geometry/mesh_files.h"
#include "temporary_directory.h"

namespace omni::data {
namespace {

namespace fs = std::filesystem;

class OpenSource : public testing::Test {
 protected:
  std::string refusal(const SourceSpec& spec, ErrorKind kind) {
    try {
      open_source(spec);
      ADD_FAILURE() << "accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), kind) << error.what();
      return error.what();
    }
    return "";
  }
  // What load() gives but for the mesh, told without it.
  static void expect_described(const ObjectSource& source) {
    for (std::int64_t i = 0; i < source.size(); ++i) {
      const ObjectRecord whole = source.load(i), told = source.describe(i);
      EXPECT_EQ(told.id, whole.id);
      EXPECT_EQ(told.split, whole.split);
      EXPECT_EQ(told.class_name, whole.class_name);
      EXPECT_EQ(told.attributes, whole.attributes);
      EXPECT_EQ(told.partly_buried, whole.partly_buried);
      EXPECT_EQ(told.parts.size(), whole.parts.size());
      ASSERT_EQ(told.captions.size(), whole.captions.size());
      for (std::size_t k = 0; k < told.captions.size(); ++k)
        EXPECT_EQ(told.captions[k].text, whole.captions[k].text);
      EXPECT_TRUE(told.mesh.triangles.empty());
      EXPECT_EQ(told.field, nullptr);
      EXPECT_EQ(geometry::volume_iou(*source.field(i), *whole.field, 16), 1.0);
    }
    EXPECT_THROW(source.describe(source.size()), Error);
    EXPECT_THROW(source.describe(-1), Error);
  }
  fs::path make_meshes() {
    const ProceduralSource world({.seed = 1, .count = 2});
    fs::create_directories(folder_ / "meshes" / "inner");
    geometry::write_mesh(folder_ / "meshes" / "a-red_thing.glb", world.load(0).mesh);
    geometry::write_mesh(folder_ / "meshes" / "inner" / "b.ply", world.load(1).mesh);
    write_file_atomically(folder_ / "meshes" / "notes.txt", std::string_view("no mesh"));
    return folder_ / "meshes";
  }

  const test::TemporaryDirectory folder_;
};

TEST_F(OpenSource, GivesTheProceduralWorldByDefault) {
  const auto opened = open_source({.count = 3});
  const ProceduralSource world({.seed = 1, .count = 3});
  EXPECT_EQ(opened->fingerprint(), world.fingerprint());
  ASSERT_EQ(opened->size(), 3);
  for (std::int64_t i = 0; i < 3; ++i) EXPECT_EQ(opened->load(i).id, world.load(i).id);
  expect_described(*opened);
  EXPECT_NE(open_source({.seed = 2, .count = 3})->fingerprint(), world.fingerprint());
  EXPECT_EQ(open_source({.split = Split::new_instance, .count = 1})->load(0).split, Split::new_instance);
  // More than there are: all of them.
  const auto all = open_source({.split = Split::new_instance, .count = 10'000'000});
  EXPECT_EQ(all->size(), ProceduralSource({.seed = 1, .split = Split::new_instance}).size());
  EXPECT_NE(refusal({.split = std::nullopt}, ErrorKind::usage).find("split"), std::string::npos);
}

TEST_F(OpenSource, TellsADataSetFromAFolderOfMeshes) {
  const fs::path set = folder_ / "set";
  synthesise_data_set(set, {.seed = 3, .counts = {{Split::train, 3}, {Split::unseen_colour, 2}}});
  const auto train = open_source({.source = set});
  EXPECT_EQ(train->size(), 3);
  EXPECT_EQ(train->fingerprint(), FolderSource(set, Split::train).fingerprint());
  EXPECT_EQ(open_source({.source = set, .split = std::nullopt})->size(), 5);
  EXPECT_EQ(open_source({.source = set, .split = Split::unseen_count})->size(), 0);
  expect_described(*train);

  const fs::path meshes = make_meshes();
  const auto files = open_source({.source = meshes, .split = Split::unseen_colour});
  ASSERT_EQ(files->size(), 2);
  const ObjectRecord first = files->load(0), second = files->describe(1);
  EXPECT_EQ(first.id, "a-red_thing.glb");
  ASSERT_EQ(first.captions.size(), 1u);
  EXPECT_EQ(first.captions[0].text, "a red thing");
  EXPECT_EQ(first.class_name, "meshes");
  EXPECT_NEAR(first.longest_side_m, 1.92, 1e-3);
  EXPECT_EQ(second.id, "inner/b.ply");
  EXPECT_EQ(second.class_name, "inner");
  expect_described(*files);
}

TEST_F(OpenSource, SkipsAndCountsAlike) {
  const fs::path set = folder_ / "set";
  synthesise_data_set(set, {.seed = 1, .counts = {{Split::train, 6}}});
  for (const std::string& source : {std::string(kProcedural), set.string()}) {
    const auto all = open_source({.source = source, .count = 6});
    const auto part = open_source({.source = source, .skip = 2, .count = 3});
    ASSERT_EQ(part->size(), 3);
    for (std::int64_t i = 0; i < 3; ++i) EXPECT_EQ(part->load(i).id, all->load(i + 2).id);
    EXPECT_NE(part->fingerprint(), all->fingerprint());
    EXPECT_THROW(part->load(3), Error);
    EXPECT_THROW(part->load(-1), Error);
    EXPECT_THROW(part->describe(3), Error);
  }
  EXPECT_EQ(open_source({.source = set, .skip = 4, .count = 3})->size(), 2);
  EXPECT_NE(refusal({.source = set, .skip = 6}, ErrorKind::usage).find("skipping 6 of 6"), std::string::npos);
  refusal({.source = set, .skip = -1}, ErrorKind::usage);
  refusal({.source = set, .count = -1}, ErrorKind::usage);
}

TEST_F(OpenSource, TheFingerprintOfMeshesIsThatOfTheirBytes) {
  const fs::path meshes = make_meshes();
  const std::uint64_t before = open_source({.source = meshes})->fingerprint();
  fs::rename(meshes, folder_ / "elsewhere");
  EXPECT_EQ(open_source({.source = folder_ / "elsewhere"})->fingerprint(), before);
  SourceSpec flooded{.source = folder_ / "elsewhere"};
  flooded.labels.mode = geometry::LabelMode::flood;
  EXPECT_NE(open_source(flooded)->fingerprint(), before);
  fs::copy_file(folder_ / "elsewhere" / "inner" / "b.ply", folder_ / "elsewhere" / "c.ply");
  EXPECT_NE(open_source({.source = folder_ / "elsewhere"})->fingerprint(), before);
}

TEST_F(OpenSource, LabelsMeshFilesAsAsked) {
  SourceSpec spec{.source = make_meshes()};
  spec.labels = {.mode = geometry::LabelMode::flood, .epsilon = 0.05f};
  const ObjectRecord record = open_source(spec)->load(0);
  const auto* field = dynamic_cast<const geometry::MeshField*>(record.field.get());
  ASSERT_NE(field, nullptr);
  EXPECT_EQ(field->chosen_mode(), geometry::LabelMode::flood);
  spec.labels.epsilon = std::numeric_limits<float>::quiet_NaN();
  refusal(spec, ErrorKind::usage);
  spec = {.source = std::string(kProcedural)};
  spec.labels.mode = geometry::LabelMode::winding;
  EXPECT_NE(refusal(spec, ErrorKind::usage).find("label"), std::string::npos);
}

TEST_F(OpenSource, NamesEveryChoiceOfASplit) {
  EXPECT_FALSE(parse_split_choice("all").has_value());
  try {
    (void)parse_split_choice("nope");
    ADD_FAILURE() << "accepted";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("all is a choice"), std::string::npos) << error.what();
  }
}

TEST_F(OpenSource, SaysWhatIsWrongWithAFolder) {
  const auto mentions = [](const std::string& reason, const std::string& part) {
    EXPECT_NE(reason.find(part), std::string::npos) << reason;
  };
  mentions(refusal({.source = folder_ / "absent"}, ErrorKind::io), "no such folder");
  mentions(refusal({.source = "procedral"}, ErrorKind::io), "\"procedural\" (is that what was meant?)");
  mentions(refusal({.source = ""}, ErrorKind::usage), "empty");
  fs::create_directory(folder_ / "folder");
  mentions(refusal({.source = folder_ / "folder"}, ErrorKind::input), "it is empty");
  write_file_atomically(folder_ / "folder" / "notes.txt", std::string_view("text"));
  mentions(refusal({.source = folder_ / "folder"}, ErrorKind::input), "neither a data set");
  mentions(refusal({.source = folder_ / "folder" / "notes.txt"}, ErrorKind::usage), "it is a file");
  write_file_atomically(folder_ / "folder" / "dataset.json", std::string_view("{}"));
  mentions(refusal({.source = folder_ / "folder"}, ErrorKind::input), "dataset.json");
}

}  // namespace
}  // namespace omni::data
