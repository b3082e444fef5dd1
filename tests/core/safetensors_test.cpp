#include "omni/core/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <map>

#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/hash.h"
#include "omni/core/random.h"
#include "temporary_directory.h"

namespace omni {
namespace {

std::vector<std::byte> bytes_of(const std::string& header, std::size_t data_bytes) {
  std::vector<std::byte> bytes(8 + header.size() + data_bytes);
  const std::uint64_t length = header.size();
  std::memcpy(bytes.data(), &length, 8);
  std::memcpy(bytes.data() + 8, header.data(), header.size());
  return bytes;
}

TEST(Safetensors, RoundTripKeepsNamesShapesValuesAndMetadata) {
  const test::TemporaryDirectory folder;
  const std::vector<float> floats{1.5f, -2.0f, 0.25f, 8.0f, 1e-30f, 3.0f};
  const std::vector<std::int64_t> integers{-1, 1ll << 40};
  const std::vector<std::uint8_t> empty;
  const std::vector<NamedTensorView> tensors{{"weights", tensor_view(floats, {2, 3})},
                                             {"ids", tensor_view(integers, {2})},
                                             {"nothing", tensor_view(empty, {0, 4})}};
  write_safetensors(folder / "x.safetensors", tensors, {{"format", "omni"}});
  EXPECT_EQ(hash_safetensors(tensors, {{"format", "omni"}}), hash_file(folder / "x.safetensors"));

  const SafetensorsFile file(folder / "x.safetensors");
  EXPECT_EQ(file.tensors().size(), 3u);
  EXPECT_EQ(file.at("weights").shape, (std::vector<std::int64_t>{2, 3}));
  EXPECT_EQ(file.at("weights").to_vector<float>(), floats);
  EXPECT_EQ(file.at("ids").to_vector<std::int64_t>(), integers);
  EXPECT_EQ(file.at("nothing").element_count(), 0);
  EXPECT_EQ(file.metadata().at("format"), "omni");
  EXPECT_THROW(file.at("ids").to_vector<float>(), Error);
  EXPECT_THROW(file.at("absent"), Error);
  const auto raw = read_file_bytes(folder / "x.safetensors");
  std::uint64_t header = 0;
  std::memcpy(&header, raw.data(), 8);
  EXPECT_EQ(header % 8, 0u);
}

// Replaced bytes would make them other names, or two the same.
TEST(Safetensors, NamesAndMetadataThatAreNotUtf8AreNotWritten) {
  const std::vector<TensorDescription> named = {{"a\xff", DType::f32, {1}}}, plain = {{"a", DType::f32, {1}}};
  EXPECT_ANY_THROW((void)safetensors_head(named, {}));
  EXPECT_ANY_THROW((void)safetensors_head(plain, {{"note", "a\xff"}}));
  EXPECT_NO_THROW((void)safetensors_head(plain, {{"note", "a"}}));
}

TEST(Safetensors, RefusesBrokenHeaders) {
  const std::vector<std::string> headers{
      "not json",
      "[]",
      R"({"a":1})",
      R"({"a":{"dtype":"F32","shape":[2]}})",
      R"({"a":{"dtype":"F33","shape":[2],"data_offsets":[0,8]}})",
      R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})",
      R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,800]}})",
      R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})",
      R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})",
      R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}})",
      R"({"a":{"dtype":"F32","shape":[0.5],"data_offsets":[0,8]}})",
      R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
      R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})",
      R"({"__metadata__":{"a":1}})"};
  for (const std::string& header : headers) {
    const auto bytes = bytes_of(header, 8);
    EXPECT_THROW(SafetensorsFile(bytes, "test"), Error) << header;
  }
  const auto huge = bytes_of(std::string("{}"), 0);
  auto lying = huge;
  lying[7] = std::byte{0x7f};
  EXPECT_THROW(SafetensorsFile(lying, "test"), Error);
  EXPECT_THROW(SafetensorsFile(std::span<const std::byte>(), "test"), Error);
  EXPECT_NO_THROW(SafetensorsFile(huge, "test"));
}

TEST(Safetensors, TypesThatNothingAsksForAreNoErrors) {
  for (const auto& [type, bytes] : std::map<std::string, std::size_t>{
           {"U16", 4}, {"U32", 8}, {"U64", 16}, {"F8_E4M3", 2}, {"F8_E5M2", 2}, {"C64", 16}, {"F4", 1}}) {
    const std::string end = std::to_string(4 + bytes);
    const auto stored =
        bytes_of(R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"step":{"dtype":")" + type +
                     R"(","shape":[2],"data_offsets":[4,)" + end + "]}}",
                 4 + bytes);
    const SafetensorsFile file(stored, "mixed");
    EXPECT_EQ(file.at("w").to_vector<float>(), std::vector<float>{0});
    EXPECT_FALSE(file.contains("step"));
    try {
      file.at("step");
      ADD_FAILURE() << type;
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), testing::HasSubstr("'step' has the type " + type));
    }
    // Their places are checked like those of others.
    auto cut = stored;
    cut.resize(cut.size() - 1);
    EXPECT_THROW(SafetensorsFile(cut, "cut"), Error) << type;
  }
}

TEST(Safetensors, EveryTruncationAndByteFlipIsEitherReadOrRefused) {
  const test::TemporaryDirectory folder;
  const std::vector<float> values{1, 2, 3, 4};
  write_safetensors(folder / "x", std::vector<NamedTensorView>{{"a", tensor_view(values, {4})},
                                                               {"b", tensor_view(values, {2, 2})}});
  const auto bytes = read_file_bytes(folder / "x");
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_THROW(SafetensorsFile(std::span(bytes).first(length), "cut"), Error) << length;
  }
  CounterRng rng(3);
  for (int round = 0; round < 3000; ++round) {
    auto flipped = bytes;
    flipped[rng.below(flipped.size())] ^= std::byte(1u << rng.below(8));
    try {
      const SafetensorsFile file(flipped, "flipped");
      for (const auto& [name, view] : file.tensors()) EXPECT_LE(view.bytes.size(), bytes.size());
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::input);
    }
  }
}

TEST(Safetensors, MissingFilesAndFoldersAreIoErrors) {
  const test::TemporaryDirectory folder;
  for (const auto& path : {folder.path() / "absent", folder.path()}) {
    try {
      SafetensorsFile file(path);
      ADD_FAILURE();
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::io);
      EXPECT_THAT(error.what(), testing::HasSubstr(path.string()));
    }
  }
}

}  // namespace
}  // namespace omni
