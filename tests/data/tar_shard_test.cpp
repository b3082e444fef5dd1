#include "tar_shard.h"

#include <archive.h>
#include <archive_entry.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "omni/core/error.h"
#include "omni/core/files.h"
#include "temporary_directory.h"

namespace omni::data {
namespace {

using Members = std::vector<std::pair<std::string, std::string>>;

Members some_members() {
  return {{"a.glb", "contents"},
          {"empty.json", ""},
          {"whole.block", std::string(512, 'x')},
          {"folder/ö.png", std::string(700, '\0')},
          {std::string(100, 'n'), "the longest name"},
          {concat(std::string(150, 'd'), '/', std::string(90, 'e')), "with a folder"}};
}

// What libarchive makes of the same members.
std::string written_by_libarchive(const Members& members, const std::filesystem::path& path) {
  archive* tar = archive_write_new();
  archive_write_set_format_ustar(tar);
  archive_write_set_bytes_per_block(tar, 0);
  EXPECT_EQ(archive_write_open_filename(tar, path.c_str()), ARCHIVE_OK);
  for (const auto& [name, contents] : members) {
    archive_entry* entry = archive_entry_new();
    archive_entry_set_pathname(entry, name.c_str());
    archive_entry_set_size(entry, static_cast<la_int64_t>(contents.size()));
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_mtime(entry, 0, 0);
    archive_write_header(tar, entry);
    archive_write_data(tar, contents.data(), contents.size());
    archive_entry_free(entry);
  }
  EXPECT_EQ(archive_write_close(tar), ARCHIVE_OK);
  archive_write_free(tar);
  return read_file_text(path);
}

TEST(TarShard, HasTheBytesThatLibarchiveWrites) {
  const test::TemporaryDirectory folder;
  TarShardWriter writer(folder / "own.tar");
  std::vector<ByteRange> ranges;
  for (const auto& [name, contents] : some_members())
    ranges.push_back(writer.add(name, std::as_bytes(std::span(contents))));
  writer.finish();
  const std::string own = read_file_text(folder / "own.tar");
  EXPECT_EQ(own.size(), writer.bytes_written());
  EXPECT_EQ(own, written_by_libarchive(some_members(), folder / "theirs.tar"));
  for (std::size_t i = 0; i < ranges.size(); ++i)
    EXPECT_EQ(own.substr(ranges[i].offset, ranges[i].size), some_members()[i].second) << i;
}

TEST(TarShard, NamesThatDoNotFitAreRefused) {
  const test::TemporaryDirectory folder;
  TarShardWriter writer(folder / "own.tar");
  for (const std::string& name :
       {std::string(), std::string(101, 'n'), concat(std::string(160, 'd'), "/name"),
        concat("folder/", std::string(101, 'n'))})
    EXPECT_THROW(writer.add(name, {}), Error) << name;
}

}  // namespace
}  // namespace omni::data
