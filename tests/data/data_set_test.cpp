#include "omni/data/data_set.h"

#include <archive.h>
#include <archive_entry.h>
#include <gtest/gtest.h>

#include <fstream>
#include <set>

#include "damage.h"
#include "object_entry.h"
#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/data/procedural_world.h"
#include "omni/geometry/mesh_files.h"
#include "temporary_directory.h"

namespace omni::data {
namespace {

namespace fs = std::filesystem;

class DataSet : public testing::Test {
 protected:
  // Made once: the tests below damage copies of it.
  fs::path small_set() {
    const fs::path path = folder_ / "set";
    if (!fs::exists(path))
      synthesise_data_set(path, {.seed = 3,
                                 .counts = {{Split::train, 12}, {Split::unseen_colour, 4}},
                                 .renders = 2,
                                 .render_size = 32});
    return path;
  }
  void expect_refused(const fs::path& path, const std::string& mentioned) {
    try {
      FolderSource source(path);
      for (std::int64_t i = 0; i < source.size(); ++i) source.load(i);
      ADD_FAILURE() << "accepted; expected an error about " << mentioned;
    } catch (const Error& error) {
      EXPECT_TRUE(error.kind() == ErrorKind::input || error.kind() == ErrorKind::io) << error.what();
      EXPECT_NE(std::string(error.what()).find(mentioned), std::string::npos) << error.what();
    }
  }
  std::string slurp(const fs::path& path) { return read_file_text(path); }

  const test::TemporaryDirectory folder_;
};

TEST_F(DataSet, GivesBackWhatWasWritten) {
  const FolderSource stored(small_set());
  const ProceduralSource train({.seed = 3, .count = 12});
  ASSERT_EQ(stored.size(), 16);
  for (std::int64_t i = 0; i < 12; ++i) {
    const ObjectRecord a = stored.load(i), b = train.load(i);
    EXPECT_EQ(a.id, b.id);
    EXPECT_EQ(a.split, b.split);
    EXPECT_EQ(a.class_name, b.class_name);
    EXPECT_EQ(a.attributes, b.attributes);
    EXPECT_FLOAT_EQ(a.longest_side_m, b.longest_side_m);
    ASSERT_EQ(a.captions.size(), b.captions.size());
    for (std::size_t k = 0; k < a.captions.size(); ++k) {
      EXPECT_EQ(a.captions[k].text, b.captions[k].text);
      EXPECT_EQ(a.captions[k].kind, b.captions[k].kind);
    }
    ASSERT_EQ(a.parts.size(), b.parts.size());
    for (std::size_t k = 0; k < a.parts.size(); ++k) {
      EXPECT_EQ(a.parts[k].name, b.parts[k].name);
      EXPECT_EQ(a.parts[k].colour_name, b.parts[k].colour_name);
      EXPECT_NEAR(length(a.parts[k].colour - b.parts[k].colour), 0, 1e-5);
    }
    ASSERT_EQ(a.mesh.triangles.size(), b.mesh.triangles.size());
    EXPECT_NEAR(a.mesh.signed_volume(), b.mesh.signed_volume(), 1e-4);
    EXPECT_EQ(geometry::volume_iou(*a.field, *b.field, 24), 1.0);
    ASSERT_EQ(stored.views(i).size(), 2u);
    EXPECT_EQ(stored.views(i)[0].azimuth_degrees, 45);
    EXPECT_EQ(stored.views(i)[1].azimuth_degrees, 225);
    EXPECT_EQ(stored.load_render(i, 1).width, 32);
    EXPECT_THROW(stored.load_render(i, 2), Error);
  }
  EXPECT_THROW(stored.load(16), Error);
}

TEST_F(DataSet, OpensOneSplitAlone) {
  const FolderSource all(small_set()), some(small_set(), Split::unseen_colour);
  EXPECT_EQ(some.size(), 4);
  EXPECT_NE(some.fingerprint(), all.fingerprint());
  EXPECT_EQ(some.load(0).split, Split::unseen_colour);
}

TEST_F(DataSet, IsTheSameForTheSameSeed) {
  synthesise_data_set(folder_ / "again", {.seed = 3,
                                          .counts = {{Split::train, 12}, {Split::unseen_colour, 4}},
                                          .renders = 2,
                                          .render_size = 32});
  for (const char* name : {"dataset.json", "objects.jsonl", "shard-00000.tar"})
    EXPECT_EQ(slurp(folder_ / "again" / name), slurp(small_set() / name)) << name;
}

TEST_F(DataSet, ShardsAreOrdinaryArchives) {
  const fs::path path = small_set() / "shard-00000.tar";
  archive* tar = archive_read_new();
  archive_read_support_format_tar(tar);
  ASSERT_EQ(archive_read_open_filename(tar, path.c_str(), 10240), ARCHIVE_OK);
  std::set<std::string> names;
  archive_entry* entry = nullptr;
  int result = ARCHIVE_OK;
  while ((result = archive_read_next_header(tar, &entry)) == ARCHIVE_OK)
    names.insert(archive_entry_pathname(entry));
  EXPECT_EQ(result, ARCHIVE_EOF);
  archive_read_free(tar);
  EXPECT_EQ(names.size(), 16u * 4);
  const std::string id = FolderSource(small_set()).describe(0).id;
  for (const char* suffix : {".glb", ".json", ".a045e30.png", ".a225e30.png"})
    EXPECT_TRUE(names.contains(id + suffix)) << suffix;
}

TEST_F(DataSet, ReportsWhatIsMissingOrDamaged) {
  expect_refused(folder_ / "nothing", "no such folder");
  const fs::path set = small_set();
  const auto damage = [&](const char* file, const std::string& contents, const std::string& mentioned) {
    const std::string before = slurp(set / file);
    write_file_atomically(set / file, contents);
    expect_refused(set, mentioned);
    write_file_atomically(set / file, before);
  };
  const std::string lines = slurp(set / "objects.jsonl"), manifest = slurp(set / "dataset.json");
  const std::string shard = slurp(set / "shard-00000.tar");
  damage("dataset.json", "{}", "dataset.json");
  damage("dataset.json", manifest.substr(0, manifest.size() / 2), "dataset.json");
  damage("objects.jsonl", lines.substr(0, lines.size() / 2), "objects.jsonl");
  damage("objects.jsonl", lines.substr(0, lines.find('\n') + 1), "the manifest counts 16");
  damage("objects.jsonl", "{\"id\":3}\n" + lines, "objects.jsonl:1");
  std::string renamed = lines;
  renamed.replace(renamed.find("\"train\""), 7, "\"trian\"");
  damage("objects.jsonl", renamed, "split");
  damage("shard-00000.tar", shard.substr(0, shard.size() / 2), "shard-00000.tar");
  damage("shard-00000.tar", std::string(shard.size(), '\0'), "shard-00000.tar");
  fs::remove(set / "shard-00000.tar");
  expect_refused(set, "shard-00000.tar");
}

TEST_F(DataSet, RefusesRequestsBeforeItWrites) {
  EXPECT_THROW(synthesise_data_set(folder_ / "x", {.counts = {{Split::new_instance, 1 << 30}}}), Error);
  EXPECT_THROW(synthesise_data_set(folder_ / "x", {.counts = {{Split::train, 1}}, .renders = 5}), Error);
  EXPECT_THROW(synthesise_data_set(folder_ / "x", {.counts = {{Split::train, 1}}, .render_size = 1 << 20}),
               Error);
  EXPECT_THROW(synthesise_data_set(folder_ / "x", {}), Error);
  EXPECT_TRUE(fs::is_empty(folder_.path()));
}

TEST(ObjectEntry, TruncationsAndByteFlipsNeverCrash) {
  ObjectEntry entry;
  entry.record.id = "chair-1";
  entry.record.attributes = {{"height", "tall"}};
  entry.record.captions = {{"a \"tall\" chair", CaptionKind::complete}};
  entry.record.parts = {{"seat", "red", {0.8f, 0.1f, 0.1f}}};
  entry.procedural_object = 1;
  entry.shard = 0;
  entry.mesh = {512, 100};
  entry.renders.push_back({geometry::Camera{}, {1024, 10}});
  const std::string valid = write_object_entry(entry);
  EXPECT_EQ(write_object_entry(read_object_entry(valid, "x:1")), valid);
  const auto read = [](const std::string& text) {
    try {
      read_object_entry(text, "x:1");
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::input);
    }
  };
  test::for_each_damage(valid, read);
  read(std::string(100000, '['));
}

}  // namespace
}  // namespace omni::data
