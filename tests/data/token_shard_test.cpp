#include "omni/data/token_shard.h"

#include <gtest/gtest.h>

#include <cstring>

#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/data/token_dataset.h"
#include "temporary_directory.h"
#include "token_fixtures.h"

namespace omni::data {
namespace {

using namespace testing;

class TokenShardTest : public ::testing::Test {
 protected:
  std::filesystem::path file(const std::string& name) const { return folder_.path() / name; }
  test::TemporaryDirectory folder_;
};

template <class Body>
std::string input_error(Body body) {
  try {
    body();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

TEST_F(TokenShardTest, RoundTrip) {
  const TokenShardInfo info = small_info();
  const auto objects = random_objects(info, 50);
  write_token_shard(file("a.safetensors"), info, objects);
  const TokenShard shard(file("a.safetensors"));
  EXPECT_EQ(shard.info(), info);
  ASSERT_EQ(shard.size(), 50);
  for (std::int64_t i = 0; i < 50; ++i) EXPECT_EQ(shard.object(i), objects[static_cast<std::size_t>(i)]);
}

TEST_F(TokenShardTest, ModalitiesMayBeAbsent) {
  for (int absent = 0; absent < 4; ++absent) {
    TokenShardInfo info = small_info();
    if (absent == 0 || absent == 3) info.tokens.text = {};
    if (absent == 1 || absent == 3) {
      info.tokens.image = {};
      info.views_per_object = 0;
    }
    if (absent == 2 || absent == 3) info.tokens.shape = {};
    const auto objects = random_objects(info, 7);
    write_token_shard(file("a.safetensors"), info, objects);
    const TokenShard shard(file("a.safetensors"));
    EXPECT_EQ(shard.info(), info);
    for (std::int64_t i = 0; i < 7; ++i) EXPECT_EQ(shard.object(i), objects[static_cast<std::size_t>(i)]);
  }
}

TEST_F(TokenShardTest, AnEmptyShardIsFine) {
  write_token_shard(file("a.safetensors"), small_info(), {});
  EXPECT_EQ(TokenShard(file("a.safetensors")).size(), 0);
}

TEST_F(TokenShardTest, ObjectsThatDoNotFitAreNotWritten) {
  const TokenShardInfo info = small_info();
  const auto rejected = [&](auto change) {
    auto objects = random_objects(info, 2);
    change(objects[1]);
    EXPECT_THROW(write_token_shard(file("bad.safetensors"), info, objects), Error);
    EXPECT_FALSE(std::filesystem::exists(file("bad.safetensors")));
  };
  rejected([](TokenObject& o) { o.geometry.pop_back(); });
  rejected([](TokenObject& o) { o.geometry[0] = 512; });
  rejected([](TokenObject& o) { o.views.pop_back(); });
  rejected([](TokenObject& o) { o.views[0].azimuth = 24; });
  rejected([](TokenObject& o) { o.views[0].codes[0] = -1; });
  rejected([](TokenObject& o) { o.captions[0].tokens = {300}; });
  rejected([](TokenObject& o) { o.size = 64; });
}

TEST_F(TokenShardTest, TruncationsAreRejected) {
  write_token_shard(file("a.safetensors"), small_info(), random_objects(small_info(), 3));
  const auto bytes = read_file_bytes(file("a.safetensors"));
  for (std::size_t size = 0; size < bytes.size(); size += 1 + size / 97) {
    EXPECT_THROW(TokenShard(std::span(bytes).first(size), "cut"), Error) << size;
  }
}

TEST_F(TokenShardTest, EveryFlippedByteIsNoticed) {
  const TokenShardInfo info = small_info();
  const auto objects = random_objects(info, 3);
  write_token_shard(file("a.safetensors"), info, objects);
  auto bytes = read_file_bytes(file("a.safetensors"));
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const std::byte before = bytes[i];
    bytes[i] ^= std::byte{static_cast<unsigned char>(1 << (i % 8))};
    try {
      // A flip inside the header's padding changes nothing; any other must be refused.
      const TokenShard shard(bytes, "flipped");
      for (std::int64_t o = 0; o < 3; ++o) EXPECT_EQ(shard.object(o), objects[static_cast<std::size_t>(o)]);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::input);
    }
    bytes[i] = before;
  }
}

// Changes one tensor or key and makes the content hash right again, so that the checks behind it are reached.
class ShardForger {
 public:
  explicit ShardForger(const std::filesystem::path& path) : file_(path), metadata_(file_.metadata()) {
    for (const auto& [name, view] : file_.tensors()) {
      data_[name].assign(view.bytes.begin(), view.bytes.end());
      shapes_[name] = view.shape;
    }
  }
  template <class T>
  void set(const std::string& tensor, std::size_t index, T value) {
    std::memcpy(data_.at(tensor).data() + index * sizeof(T), &value, sizeof(T));
  }
  void set_key(const std::string& key, const std::string& value) { metadata_[key] = value; }
  void erase(const std::string& tensor) { data_.erase(tensor); }
  void reshape(const std::string& tensor, std::vector<std::int64_t> shape) {
    shapes_[tensor] = std::move(shape);
  }

  void write(const std::filesystem::path& path) {
    std::uint64_t header = 0, content = 0;
    for (const auto& [key, value] : metadata_) {
      if (key != "content") header = hash_combine(hash_combine(header, hash_string(key)), hash_string(value));
    }
    std::vector<NamedTensorView> tensors;
    for (const auto& [name, bytes] : data_) {
      tensors.push_back({name, {file_.at(name).dtype, shapes_.at(name), bytes}});
      const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      content = hash_combine(content, hash_combine(hash_string(name), hash_string(text)));
    }
    char hash[17];
    std::snprintf(hash, sizeof(hash), "%016llx",
                  static_cast<unsigned long long>(hash_combine(header, content)));
    metadata_["content"] = hash;
    write_safetensors(path, tensors, metadata_);
  }

 private:
  SafetensorsFile file_;
  std::map<std::string, std::string> metadata_;
  std::map<std::string, std::vector<std::byte>> data_;
  std::map<std::string, std::vector<std::int64_t>> shapes_;
};

TEST_F(TokenShardTest, ForgedContentIsRejected) {
  write_token_shard(file("a.safetensors"), small_info(), random_objects(small_info(), 5));
  const auto open_forged = [&](auto change) {
    ShardForger forger(file("a.safetensors"));
    change(forger);
    forger.write(file("b.safetensors"));
    const TokenShard shard(file("b.safetensors"));
  };
  EXPECT_NO_THROW(open_forged([](ShardForger&) {}));
  const auto rejected = [&](auto change) { input_error([&] { open_forged(change); }); };
  for (const char* offsets :
       {"caption_offsets", "caption_token_offsets", "id_offsets", "class_offsets", "attributes_offsets"}) {
    rejected([&](ShardForger& f) { f.set<std::int32_t>(offsets, 0, 1); });
    rejected([&](ShardForger& f) { f.set<std::int32_t>(offsets, 1, -1); });
    rejected([&](ShardForger& f) { f.set<std::int32_t>(offsets, 1, 0x7fffffff); });
    rejected([&](ShardForger& f) { f.set<std::int32_t>(offsets, 5, 0); });
  }
  rejected([](ShardForger& f) { f.set<std::int16_t>("geometry_codes", 3, 512); });
  rejected([](ShardForger& f) { f.set<std::int16_t>("geometry_codes", 3, -1); });
  rejected([](ShardForger& f) { f.set<std::int32_t>("view_codes", 3, 40000); });
  rejected([](ShardForger& f) { f.set<std::uint8_t>("colour_codes", 0, 32); });
  rejected([](ShardForger& f) { f.set<std::uint8_t>("view_azimuth", 0, 24); });
  rejected([](ShardForger& f) { f.set<std::uint8_t>("split", 0, 5); });
  rejected([](ShardForger& f) { f.set<std::uint8_t>("size", 0, 64); });
  rejected([](ShardForger& f) { f.reshape("geometry_codes", {8, 5}); });
  rejected([](ShardForger& f) { f.erase("box"); });
  rejected([](ShardForger& f) { f.set_key("version", "2"); });
  rejected([](ShardForger& f) { f.set_key("format", "something"); });
  rejected([](ShardForger& f) { f.set_key("objects", "6"); });
  rejected([](ShardForger& f) { f.set_key("objects", "-1"); });
  rejected([](ShardForger& f) { f.set_key("views_per_object", "99999999999999999999"); });
  rejected([](ShardForger& f) { f.set_key("geometry_lengths", "8,4"); });
  rejected([](ShardForger& f) { f.set_key("geometry_lengths", "4"); });
  rejected([](ShardForger& f) { f.set_key("geometry_lengths", "4,,8"); });
  rejected([](ShardForger& f) { f.set_key("text_vocabulary", "x"); });
  for (const char* variation : {"", "0", "-1", "1.5", "nan", "x"})
    rejected([&](ShardForger& f) { f.set_key("variation", variation); });
}

TEST_F(TokenShardTest, ADatasetRefusesMixedTokenizers) {
  TokenShardInfo info = small_info();
  write_token_shard(file("a.safetensors"), info, random_objects(info, 3));
  info.tokens.image.tokenizer = 77;
  write_token_shard(file("b.safetensors"), info, random_objects(info, 3));
  const std::filesystem::path folders[] = {folder_.path()};
  EXPECT_NE(input_error([&] { TokenDataset::open(folders); }).find("the image tokenizer"), std::string::npos);
}

TEST_F(TokenShardTest, ADatasetJoinsUnalignedShards) {
  TokenShardInfo text_image = small_info(), text_shape = small_info();
  text_image.tokens.shape = {};
  text_shape.tokens.image = {};
  text_shape.views_per_object = 0;
  write_token_shard(file("a.safetensors"), text_image, random_objects(text_image, 3));
  write_token_shard(file("b.safetensors"), text_shape, random_objects(text_shape, 4));
  const std::filesystem::path folders[] = {folder_.path()};
  const TokenDataset dataset = TokenDataset::open(folders);
  EXPECT_EQ(dataset.size(), 7);
  EXPECT_EQ(dataset.at(3).object, 0);
  EXPECT_EQ(dataset.at(3).shard, &dataset.shards()[1]);
  EXPECT_EQ(dataset.tokens(), small_info().tokens);
}

TEST_F(TokenShardTest, TheFingerprintIsOfTheContentInItsOrder) {
  const TokenShardInfo info = small_info();
  const auto fingerprint = [&](const std::string& folder, std::vector<std::size_t> counts) {
    std::filesystem::create_directories(file(folder));
    for (std::size_t i = 0; i < counts.size(); ++i)
      write_token_shard(file(folder) / concat("shard-", i, ".safetensors"), info,
                        random_objects(info, counts[i]));
    const std::filesystem::path folders[] = {file(folder)};
    return TokenDataset::open(folders).fingerprint();
  };
  const std::uint64_t first = fingerprint("first", {3, 4});
  EXPECT_EQ(fingerprint("same", {3, 4}), first);
  EXPECT_NE(fingerprint("turned", {4, 3}), first);
  EXPECT_NE(fingerprint("more", {3, 5}), first);
}

TEST_F(TokenShardTest, MissingAndEmptyFolders) {
  const std::filesystem::path missing[] = {file("nowhere")}, empty[] = {folder_.path()};
  EXPECT_THROW(TokenDataset::open(missing), Error);
  input_error([&] { TokenDataset::open(empty); });
}

TEST_F(TokenShardTest, ForeignTokenizersAreNamedWithTheirShard) {
  std::filesystem::create_directories(file("shards"));
  TokenShardInfo text = small_info();
  text.tokens.image = {};
  text.tokens.shape = {};
  text.views_per_object = 0;
  write_token_shard(file("shards") / "a.safetensors", text, random_objects(text, 2));
  write_token_shard(file("shards") / "b.safetensors", small_info(), random_objects(small_info(), 2));
  const std::filesystem::path folders[] = {file("shards")};
  const TokenDataset dataset = TokenDataset::open(folders);
  tokenizers::TokenFormat tokens = small_info().tokens;
  EXPECT_NO_THROW(require_tokenizers(dataset, tokens, "the bundle x"));
  EXPECT_NO_THROW(require_tokenizers(dataset, {.shape = tokens.shape}, "the bundle x"));
  ++tokens.shape.tokenizer;
  const std::string message = input_error([&] { require_tokenizers(dataset, tokens, "the bundle x"); });
  EXPECT_NE(message.find("the shape tokenizer of the bundle x"), std::string::npos) << message;
  EXPECT_NE(message.find("b.safetensors"), std::string::npos) << message;
}

}  // namespace
}  // namespace omni::data
