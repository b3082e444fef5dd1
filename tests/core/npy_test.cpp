#include "omni/core/npy.h"

#include <gtest/gtest.h>

#include <cstring>

#include "omni/core/error.h"
#include "omni/core/files.h"

namespace omni {
namespace {

namespace fs = std::filesystem;

// Files that numpy.save wrote.
IntegerArray numpy_file(const char* name) {
  const fs::path path = fs::path(OMNI_TEST_FIXTURES).parent_path() / "fuzz/corpus/npy" / name;
  return parse_npy(read_file_bytes(path), name);
}

std::vector<std::byte> changed(std::vector<std::byte> bytes, std::string_view from, std::string_view to) {
  std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  text.replace(text.find(from), from.size(), to);
  bytes.resize(text.size());
  std::memcpy(bytes.data(), text.data(), text.size());
  return bytes;
}

TEST(Npy, ReadsWhatNumpyWrote) {
  EXPECT_EQ(numpy_file("int32.npy").values,
            (std::vector<std::int64_t>{-3000, -2000, -1000, 0, 1000, 2000, 3000}));
  EXPECT_EQ(numpy_file("big_endian.npy").values, (std::vector<std::int64_t>{-3, -2, -1, 0, 1, 2}));
  EXPECT_EQ(numpy_file("big_endian.npy").shape, (std::vector<std::int64_t>{2, 3}));
  EXPECT_EQ(numpy_file("bytes.npy").values, (std::vector<std::int64_t>{250, 251, 252, 253, 254}));
  EXPECT_EQ(numpy_file("version2.npy").values, (std::vector<std::int64_t>{0, 1, 2, 3}));
  EXPECT_EQ(numpy_file("scalar.npy").values, (std::vector<std::int64_t>{42}));
  EXPECT_TRUE(numpy_file("scalar.npy").shape.empty());
}

TEST(Npy, WritesTheBytesThatNumpyWrites) {
  const std::vector<std::int32_t> values = {-3000, -2000, -1000, 0, 1000, 2000, 3000};
  const fs::path path = fs::path(OMNI_TEST_FIXTURES).parent_path() / "fuzz/corpus/npy/int32.npy";
  EXPECT_EQ(to_npy(values), read_file_bytes(path));
}

TEST(Npy, RoundTripsAnyLength) {
  for (const std::size_t length : {0, 1, 63, 64, 5000}) {
    std::vector<std::int32_t> values(length);
    for (std::size_t i = 0; i < length; ++i) values[i] = static_cast<std::int32_t>(i * 2654435761u);
    const IntegerArray array = parse_npy(to_npy(values), "round trip");
    EXPECT_EQ(array.shape, (std::vector<std::int64_t>{static_cast<std::int64_t>(length)}));
    EXPECT_EQ(std::vector<std::int32_t>(array.values.begin(), array.values.end()), values);
  }
}

TEST(Npy, RefusesWhatIsNoIntegerArray) {
  EXPECT_THROW(numpy_file("floats.npy"), Error);
  EXPECT_THROW(numpy_file("fortran.npy"), Error);
  const std::vector<std::int32_t> values = {1, 2, 3};
  const std::vector<std::byte> good = to_npy(values);
  for (std::size_t size = 0; size < good.size(); ++size)
    EXPECT_THROW(parse_npy(std::span(good).first(size), "truncated"), Error) << size;
  const auto refused = [&](std::string_view from, std::string_view to) {
    EXPECT_THROW(parse_npy(changed(good, from, to), "changed"), Error) << to;
  };
  refused("(3,)", "(4,)");
  refused("(3,)", "(-3,)");
  refused("(3,)", "(9223372036854775807, 9223372036854775807)");
  refused("(3,)", "(0, 9223372036854775807)");
  refused("(3,)", "(3");
  refused("'descr'", "'shape'");
  refused("False", "Maybe");
  refused("NUMPY", "NUMPI");
  std::vector<std::byte> large = changed(good, "<i4", "<u8");
  EXPECT_THROW(parse_npy(large, "another size"), Error);
  large = to_npy(std::vector<std::int32_t>{0, -1});
  large = changed(changed(large, "<i4", "<u8"), "(2,)", "(1,)");
  EXPECT_THROW(parse_npy(large, "beyond int64"), Error);
}

}  // namespace
}  // namespace omni
