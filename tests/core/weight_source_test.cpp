#include "omni/core/weight_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "omni/core/error.h"
#include "omni/core/files.h"
#include "temporary_directory.h"

namespace omni {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
namespace fs = std::filesystem;

class WeightSourceTest : public testing::Test {
 protected:
  void SetUp() override {
    write("one.safetensors", {"a", "b"});
    write("two.safetensors", {"c"});
    index(R"({"a": "one.safetensors", "b": "one.safetensors", "c": "two.safetensors"})");
  }
  void write(const std::string& name, const std::vector<std::string>& tensors) {
    std::vector<NamedTensorView> views;
    for (const std::string& tensor : tensors) views.push_back({tensor, tensor_view(values_, {2, 2})});
    write_safetensors(folder_ / name, views);
  }
  void index(const std::string& weight_map) {
    write_file_atomically(
        index_, std::string_view(R"({"metadata": {"total_size": 48}, "weight_map": )" + weight_map + "}"));
  }
  void expect_refusal(ErrorKind kind, const std::vector<std::string>& words) {
    try {
      const WeightSource source(index_);
      ADD_FAILURE() << "is taken";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), kind) << error.what();
      for (const std::string& word : words) EXPECT_THAT(error.what(), HasSubstr(word));
    }
  }

  const test::TemporaryDirectory folder_;
  const fs::path index_ = folder_ / "model.safetensors.index.json";
  const std::vector<float> values_{1, 2, 3, 4};
};

TEST_F(WeightSourceTest, AFolderItsIndexAndAFileAreRead) {
  for (const fs::path& path : {folder_.path(), index_}) {
    const WeightSource source(path);
    EXPECT_EQ(source.name(), index_.string());
    EXPECT_EQ(source.tensors().size(), 3u);
    EXPECT_EQ(source.at("c").to_vector<float>(), values_);
    EXPECT_EQ(source.element_count(), 12);
    EXPECT_THAT(source.files(), ElementsAre(folder_ / "one.safetensors", folder_ / "two.safetensors"));
  }
  const WeightSource one(folder_ / "one.safetensors");
  EXPECT_EQ(one.tensors().size(), 2u);
  EXPECT_THROW(one.at("c"), Error);
  fs::remove(index_);
  write("model.safetensors", {"x"});
  EXPECT_TRUE(WeightSource(folder_.path()).contains("x"));
  fs::remove(folder_ / "model.safetensors");
  EXPECT_THROW(WeightSource(folder_.path()), Error);
}

TEST_F(WeightSourceTest, TheFilesOfAnIndexMustBeThereWhole) {
  const auto bytes = read_file_bytes(folder_ / "two.safetensors");
  for (std::size_t length = 0; length < bytes.size(); length += 7) {
    write_file_atomically(folder_ / "two.safetensors", std::span(bytes).first(length));
    expect_refusal(ErrorKind::input, {"two.safetensors"});
  }
  fs::remove(folder_ / "two.safetensors");
  expect_refusal(ErrorKind::io, {"'two.safetensors', which is not there"});
}

TEST_F(WeightSourceTest, TensorsThatAreNotWhereTheIndexSaysAreNamed) {
  index(
      R"({"a": "one.safetensors", "b": "one.safetensors", "c": "two.safetensors", "d": "two.safetensors"})");
  expect_refusal(ErrorKind::input, {"'d'", "'two.safetensors'"});
  index(R"({"a": "one.safetensors", "b": "two.safetensors", "c": "two.safetensors"})");
  expect_refusal(ErrorKind::input, {"'b'", "'two.safetensors'"});
  index(R"({"a": "one.safetensors", "c": "two.safetensors"})");
  expect_refusal(ErrorKind::input, {"'b'", "does not list"});
  write("two.safetensors", {"c", "a"});
  expect_refusal(ErrorKind::input, {"'a'", "another shard"});
}

TEST_F(WeightSourceTest, AForgedIndexIsRefused) {
  for (const char* map :
       {R"({"a": "../one.safetensors"})", R"({"a": "/etc/passwd"})", R"({"a": ""})", R"({"a": ".."})",
        R"({"a": 7})", R"({"a": "sub\\one"})", "{}", "[]", "null", R"("one.safetensors")"}) {
    index(map);
    expect_refusal(ErrorKind::input, {index_.string()});
  }
  write_file_atomically(index_, std::string_view("{\"weight_map\""));
  expect_refusal(ErrorKind::input, {"weight_map"});
}

}  // namespace
}  // namespace omni
