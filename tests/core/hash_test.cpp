#include "omni/core/hash.h"

#include <gtest/gtest.h>
#include <xxhash.h>

#include <string>

#include "omni/core/error.h"
#include "omni/core/files.h"
#include "temporary_directory.h"

namespace omni {
namespace {

std::string varied_text(std::size_t size) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * i / 7);
  return text;
}

TEST(StreamHash, PiecesHashLikeTheWhole) {
  const std::string text = varied_text(1000);
  for (const std::size_t piece : {1u, 7u, 32u, 999u, 1000u}) {
    StreamHash hash;
    for (std::size_t at = 0; at < text.size(); at += piece)
      hash.add(std::string_view(text).substr(at, piece));
    EXPECT_EQ(hash.value(), XXH64(text.data(), text.size(), 0)) << piece;
  }
  EXPECT_EQ(StreamHash().value(), XXH64("", 0, 0));
}

TEST(HashFile, IsThatOfItsBytes) {
  const test::TemporaryDirectory folder;
  for (const std::size_t size : {0u, 5u, (1u << 20) - 1, 1u << 20, 3'000'001u}) {
    const std::string text = varied_text(size);
    write_file_atomically(folder / "file", std::string_view(text));
    EXPECT_EQ(hash_file(folder / "file"), XXH64(text.data(), text.size(), 0)) << size;
  }
}

TEST(HashFile, MissingFilesAndFoldersAreIoErrors) {
  const test::TemporaryDirectory folder;
  for (const std::filesystem::path& path : {folder / "none", folder.path()}) {
    try {
      hash_file(path);
      ADD_FAILURE() << path;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::io);
      EXPECT_NE(std::string(error.what()).find(path.string()), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace omni
