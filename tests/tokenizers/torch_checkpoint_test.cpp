#include "omni/tokenizers/torch_checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/random.h"
#include "omni/core/safetensors.h"
#include "omni/nn/parameters.h"
#include "omni/tokenizers/image_network.h"
#include "temporary_directory.h"

namespace omni::tokenizers {
namespace {

const std::filesystem::path fixture = std::filesystem::path(OMNI_TEST_FIXTURES) / "tiny" / "llamagen_vq";

// The same weights were written by PyTorch as .pt and as safetensors.
TEST(TorchCheckpoint, HoldsTheSameTensorsAsTheSafetensorsFile) {
  const auto tensors = read_torch_checkpoint(fixture / "vq.pt");
  const SafetensorsFile expected(fixture / "vq.safetensors");
  std::size_t compared = 0;
  for (const auto& [name, view] : expected.tensors()) {
    const auto found = tensors.find("model." + name);
    ASSERT_NE(found, tensors.end()) << name;
    EXPECT_TRUE(at::equal(found->second, nn::to_tensor(view))) << name;
    ++compared;
  }
  EXPECT_GT(compared, 100u);
}

TEST(TorchCheckpoint, TruncatedAndDamagedFilesAreErrors) {
  const auto bytes = read_file_bytes(fixture / "vq.pt");
  for (std::size_t length = 0; length < bytes.size(); length += 1 + bytes.size() / 40) {
    EXPECT_THROW(parse_torch_checkpoint(std::span(bytes).first(length), "truncated"), Error) << length;
  }
  CounterRng rng(3);
  const std::size_t directory_size = 40'000, pickle_size = 32'000;
  for (int i = 0; i < 400; ++i) {
    auto damaged = bytes;
    const std::size_t place =
        i % 2 == 0 ? rng.below(pickle_size) : bytes.size() - 1 - rng.below(directory_size);
    damaged[place] = static_cast<std::byte>(rng.below(256));
    try {
      parse_torch_checkpoint(damaged, "damaged");
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::input) << error.what();
    }
  }
}

// A zip archive of one stored entry, data.pkl.
std::vector<std::byte> archive_of(const std::string& pickle) {
  std::string out;
  const auto number = [&](std::uint64_t value, int size) {
    for (int i = 0; i < size; ++i) out.push_back(i < 8 ? static_cast<char>(value >> (8 * i)) : '\0');
  };
  const std::string name = "a/data.pkl";
  const auto common = [&](std::uint64_t signature) {
    number(signature, 4);
    if (signature == 0x02014B50) number(0, 2);
    number(0, 2 + 2 + 2 + 4 + 4);  // version, flags, method, time, checksum
    number(pickle.size(), 4);
    number(pickle.size(), 4);
    number(name.size(), 2);
    number(0, 2);
  };
  common(0x04034B50);
  out += name + pickle;
  const std::size_t directory = out.size();
  common(0x02014B50);
  number(0, 2 + 2 + 2 + 4);
  number(0, 4);
  out += name;
  const std::size_t directory_size = out.size() - directory;
  number(0x06054B50, 4);
  number(0, 4);
  number(1, 2);
  number(1, 2);
  number(directory_size, 4);
  number(directory, 4);
  number(0, 2);
  const auto* const begin = reinterpret_cast<const std::byte*>(out.data());
  return {begin, begin + out.size()};
}

TEST(TorchCheckpoint, ReadsNumbersAndTextsAsNoTensors) {
  EXPECT_TRUE(
      parse_torch_checkpoint(archive_of("\x80\x02}X\x01" + std::string("\0\0\0aK\x05s.", 8)), "x").empty());
}

TEST(TorchCheckpoint, WhatCallsAnythingElseIsRefusedByName) {
  const std::string pickle =
      "\x80\x02"
      "cos\nsystem\nX\x04" +
      std::string("\0\0\0true\x85R.", 10);
  try {
    parse_torch_checkpoint(archive_of(pickle), "x");
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    EXPECT_THAT(error.what(), testing::HasSubstr("'os.system'"));
  }
}

TEST(TorchCheckpoint, RefusesADictionaryWithinItself) {
  const std::string pickle = std::string("\x80\x02}q\0X\x01\0\0\0ah\0s.", 16);
  EXPECT_THROW(parse_torch_checkpoint(archive_of(pickle), "x"), Error);
}

TEST(ImageImport, ReadsBothFileTypesOfTheReferenceCase) {
  const SafetensorsFile expected(fixture / "expected.safetensors");
  for (const char* name : {"vq.pt", "vq.safetensors"}) {
    const auto tokenizer = ImageTokenizer::import_llamagen(fixture / name, 16);
    EXPECT_EQ(tokenizer->config().channel_multipliers, (std::vector<std::int64_t>{1, 1}));
    const c10::InferenceMode inference;
    const auto& network = tokenizer->network();
    const auto vectors = network.encode(nn::to_tensor(expected.at("image")));
    EXPECT_TRUE(
        at::equal(network.nearest(ImageNetwork::normalise(vectors)), nn::to_tensor(expected.at("indices"))));
  }
  EXPECT_THROW(ImageTokenizer::import_llamagen(fixture / "expected.safetensors"), Error);
  EXPECT_THROW(ImageTokenizer::import_llamagen(fixture / "config.json"), Error);
}

TEST(ImageImport, ValuesThatAreNotFiniteAreNamed) {
  const std::string name = "decoder.conv_out.weight";
  const SafetensorsFile original(fixture / "vq.safetensors");
  std::vector<float> values = original.at(name).to_vector<float>();
  values[6] = std::numeric_limits<float>::infinity();
  std::vector<NamedTensorView> tensors;
  for (const auto& [own, view] : original.tensors())
    tensors.push_back({own, own == name ? tensor_view(values, view.shape) : view});
  const test::TemporaryDirectory folder;
  write_safetensors(folder / "vq.safetensors", tensors);
  try {
    ImageTokenizer::import_llamagen(folder / "vq.safetensors", 16);
    ADD_FAILURE() << "infinity is taken";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    EXPECT_THAT(error.what(), testing::HasSubstr("vq.safetensors: element 6 of the tensor '" + name + "'"));
  }
}

}  // namespace
}  // namespace omni::tokenizers
