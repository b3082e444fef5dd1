#include "omni/model/panel_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <iterator>
#include <thread>

#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/interrupt.h"
#include "omni/core/safetensors.h"
#include "omni/kernels/decode_attention.h"
#include "omni/kernels/matrix_tiles.h"
#include "omni/model/decoding_memory.h"
#include "omni/model/panel_check.h"
#include "small_world.h"
#include "temporary_directory.h"

namespace omni::model {
namespace {

namespace fs = std::filesystem;
using kernels::DecodeFormat;

// Decodes with weights from a bundle's file, mapped and not.
class PanelFile : public testing::TestWithParam<std::tuple<int, std::string>> {
 protected:
  void SetUp() override {
    ::setenv("XDG_CACHE_HOME", (scratch / "cache").c_str(), 1);
    save(5);
  }
  void TearDown() override { ::unsetenv("XDG_CACHE_HOME"); }

  TransformerConfig config() const {
    TransformerConfig config = std::get<0>(GetParam()) == 0 ? small_config() : two_stream_config("all");
    config.tied_embeddings = std::get<0>(GetParam()) != 2;
    return config;
  }
  DecodePrecision precision() const { return parse_decode_precision(std::get<1>(GetParam())); }
  fs::path panels() const { return panel_file_places(folder / "model.safetensors", precision().weights)[0]; }
  fs::path cached() const {
    return panel_file_places(folder / "model.safetensors", precision().weights).at(1);
  }
  // Whoever runs this, the superuser too, can put no file there.
  void block_the_place_beside() const { fs::create_directories(panels() / "occupied"); }

  // Codes with codebooks, whose share is in the rows of a mapped model.
  void save(std::uint64_t seed, bool of_bf16 = false) const {
    const Transformer fresh(config(), small_vocabulary(), small_layout(), seed, small_codebooks());
    if (of_bf16)
      for (const nn::Parameter& parameter : fresh.parameters().all()) {
        at::Tensor numbers = parameter.value.detach();
        numbers.copy_(numbers.to(at::kBFloat16));
      }
    fs::create_directories(folder);
    fresh.parameters().save(folder / "model.safetensors");
  }
  std::unique_ptr<Transformer> read() const {
    auto transformer =
        std::make_unique<Transformer>(config(), small_vocabulary(), small_layout(), 1, small_codebooks());
    transformer->parameters().load(SafetensorsFile(folder / "model.safetensors"));
    transformer->fold_codebooks();
    return transformer;
  }
  // on_read is called before each parameter is given.
  std::unique_ptr<Transformer> map(const std::function<void()>& on_read = [] {}) const {
    const std::unique_ptr<Transformer> source = read();
    MappedWeights weights{.files = {folder / "model.safetensors"},
                          .format = precision().weights,
                          .config = config(),
                          .vocabulary = small_vocabulary(),
                          .layout = small_layout(),
                          .values = {},
                          .changed = {}};
    weights.config.codebook_embedding = false;
    weights.values = [&](const std::string& name, at::IntArrayRef) {
      on_read();
      return source->parameters().find(name)->master;
    };
    return map_transformer(weights);
  }
  std::vector<float> logits(const Transformer& transformer) const {
    DecodeSession session(transformer, 1, 64, precision());
    std::vector<DecodeToken> tokens = decode_tokens(transformer, random_document(3));
    tokens.resize(tokens.size() - 4);
    session.append(std::vector<std::vector<DecodeToken>>{tokens});
    sequence::AllowedTokens allowed;
    allowed.add(0, transformer.vocabulary().size());
    const std::vector<std::int64_t> first = {0};
    return session.logits(first, std::vector<sequence::AllowedTokens>{allowed})[0];
  }

  test::TemporaryDirectory scratch;
  fs::path folder = scratch / "weights";
};
INSTANTIATE_TEST_SUITE_P(Formats, PanelFile,
                         testing::Combine(testing::Values(0, 1, 2), testing::Values("fp32", "bf16", "int8")));

TEST_P(PanelFile, MappedWeightsGiveTheSameLogitsBitForBit) {
  const std::vector<float> expected = logits(*read());
  EXPECT_FALSE(fs::exists(panels()));
  EXPECT_EQ(logits(*map()), expected);
  EXPECT_TRUE(fs::exists(panels()));
  EXPECT_EQ(logits(*map()), expected);
}

// Programs that start together.
TEST_P(PanelFile, IsMadeOnceByTwoAtATime) {
  const std::vector<float> expected = logits(*read());
  std::atomic<int> asked = 0;
  const auto map_it = [&] {
    const auto wait_at_first = [&] {
      if (asked++ == 0) std::this_thread::sleep_for(std::chrono::milliseconds(300));
    };
    EXPECT_EQ(logits(*map(wait_at_first)), expected);
  };
  std::thread other(map_it);
  map_it();
  other.join();
  const int by_two = asked.exchange(0);
  fs::remove(panels());
  map_it();
  EXPECT_EQ(by_two, asked.load());
}

TEST_P(PanelFile, IsMadeOnceForEachStateOfTheWeights) {
  (void)map();
  const auto made = fs::last_write_time(panels());
  (void)map();
  EXPECT_EQ(fs::last_write_time(panels()), made);
  save(6);
  EXPECT_EQ(logits(*map()), logits(*read()));
  // Of the same size and names: the time tells.
  save(7);
  EXPECT_EQ(logits(*map()), logits(*read()));
  // Of the same time, too.
  const auto time = fs::last_write_time(folder / "model.safetensors");
  save(8);
  fs::last_write_time(folder / "model.safetensors", time);
  EXPECT_EQ(logits(*map()), logits(*read()));
}

// As public weights are: in twelve bits each, in fp32 too.
TEST_P(PanelFile, NumbersOfBf16TakeTwelveBits) {
  save(9, /*of_bf16=*/true);
  const std::vector<float> expected = logits(*read());
  const std::vector<float> first = logits(*map());
  // In fp32 tiles multiply those that take twelve bits alone: as exactly, but in another order.
  const bool same_order = precision().weights != kernels::DecodeFormat::fp32 || !kernels::has_matrix_tiles();
  ASSERT_EQ(first.size(), expected.size());
  for (std::size_t i = 0; i < first.size(); ++i)
    EXPECT_NEAR(first[i], expected[i], same_order ? 0 : 1e-4) << i;
  const bool bytes = precision().weights == kernels::DecodeFormat::int8;
  std::size_t in_twelve_bits = 0;
  const SafetensorsFile file(panels());
  for (const auto& [name, view] : file.tensors())
    if (name.ends_with(".tables")) ++in_twelve_bits;
  EXPECT_EQ(in_twelve_bits > 0, !bytes);
  EXPECT_EQ(logits(*map()), first);
}

// A place of an exception is where a product writes: one beyond its block would write anywhere.
TEST_P(PanelFile, OneWithPlacesBeyondItsBlocksIsMadeAnew) {
  if (precision().weights != kernels::DecodeFormat::bf16) GTEST_SKIP() << "of twelve bits alone";
  const std::vector<float> expected = logits(*read());
  (void)map();
  const std::vector<std::byte> made = read_file_bytes(panels());
  std::vector<std::byte> forged = made;
  {
    const SafetensorsFile file(std::span<const std::byte>{made}, "panels");
    for (const auto& [name, view] : file.tensors())
      if (name.ends_with(".starts"))
        std::fill_n(forged.begin() + (view.bytes.data() - made.data()), view.bytes.size(), std::byte{0x7f});
  }
  write_file_atomically(panels(), std::span<const std::byte>(forged));
  EXPECT_EQ(logits(*map()), expected);
  EXPECT_EQ(read_file_bytes(panels()), made);
}

TEST_P(PanelFile, ADamagedOneIsMadeAnew) {
  const std::vector<float> expected = logits(*read());
  (void)map();
  const std::vector<std::byte> bytes = read_file_bytes(panels());
  for (const std::size_t left : {std::size_t{0}, std::size_t{20}, bytes.size() / 2, bytes.size() - 1}) {
    write_file_atomically(panels(), std::span(bytes).first(left));
    EXPECT_EQ(logits(*map()), expected) << left << " bytes of " << bytes.size();
    EXPECT_EQ(fs::file_size(panels()), bytes.size());
  }
}

TEST_P(PanelFile, AFlippedByteIsFoundWhereverItIs) {
  EXPECT_TRUE(check_panels(folder).empty());
  (void)map();
  PanelState state{};
  const auto damage = [&] {
    const std::vector<PanelCheck> checks = check_panels(folder);
    EXPECT_EQ(checks.size(), 1u);
    EXPECT_EQ(checks.at(0).file, panels());
    state = checks.at(0).state;
    return checks.at(0).reason;
  };
  EXPECT_EQ(damage(), "");
  const std::vector<std::byte> made = read_file_bytes(panels());
  const auto flipped_at = [&](std::size_t place) {
    std::vector<std::byte> bytes = made;
    bytes[place] ^= std::byte{1};
    write_file_atomically(panels(), std::span<const std::byte>(bytes));
    return damage();
  };
  const SafetensorsFile file(std::span<const std::byte>{made}, "panels");
  for (const auto& [name, view] : file.tensors()) {
    if (name == "hashes" || view.bytes.empty()) continue;
    for (const std::size_t place : {std::size_t{0}, view.bytes.size() / 2, view.bytes.size() - 1}) {
      EXPECT_EQ(flipped_at(static_cast<std::size_t>(view.bytes.data() - made.data()) + place),
                "the tensor '" + name + "' is not as it was written");
      EXPECT_EQ(state, PanelState::damaged);
    }
  }
  for (std::size_t place = 0; place < made.size(); place += 1 + made.size() / 97)
    EXPECT_NE(flipped_at(place), "") << place;
  for (const std::size_t place : {std::size_t{3}, std::size_t{20}, made.size() - 1})
    EXPECT_NE(flipped_at(place), "") << place;
  write_file_atomically(panels(), std::span<const std::byte>(made));
  EXPECT_EQ(damage(), "");
  EXPECT_EQ(state, PanelState::sound);
  save(9);
  EXPECT_EQ(damage(), "it is of another state of the weights");
  EXPECT_EQ(state, PanelState::outdated);
}

TEST_P(PanelFile, LiesInTheCacheFolderWhereTheWeightsCannotBeWrittenBeside) {
  if (::geteuid() == 0) GTEST_SKIP() << "the superuser may write anywhere";
  fs::permissions(folder, fs::perms::owner_read | fs::perms::owner_exec);
  const std::vector<float> mapped = logits(*map());
  EXPECT_FALSE(fs::exists(panels()));
  EXPECT_TRUE(fs::exists(cached()));
  EXPECT_EQ(fs::relative(cached(), scratch / "cache").string().find(".."), std::string::npos);
  EXPECT_EQ(mapped, logits(*read()));
  fs::permissions(folder, fs::perms::owner_all);
}

// As on a full disk: the folder can be written to, the file cannot be.
TEST_P(PanelFile, LiesInTheCacheFolderWhereWritingBesideTheWeightsFails) {
  block_the_place_beside();
  const std::vector<float> expected = logits(*read());
  EXPECT_EQ(logits(*map()), expected);
  EXPECT_TRUE(fs::is_regular_file(cached()));
  EXPECT_EQ(fs::status(cached().parent_path()).permissions(), fs::perms::owner_all);
  const auto made = fs::last_write_time(cached());
  EXPECT_EQ(logits(*map()), expected);
  EXPECT_EQ(fs::last_write_time(cached()), made);
  if (::chown(cached().c_str(), 1, 1) != 0) return;  // only the superuser can
  EXPECT_EQ(logits(*map()), expected);
  EXPECT_NE(fs::last_write_time(cached()), made) << "a file of somebody else's was taken";
}

TEST_P(PanelFile, WithoutAPlaceOfTheUsersOwnNoneIsShared) {
  block_the_place_beside();
  const char* home = std::getenv("HOME");
  const std::string kept = home == nullptr ? "" : home;
  ::unsetenv("XDG_CACHE_HOME");
  ::unsetenv("HOME");
  EXPECT_EQ(panel_file_places(folder / "model.safetensors", precision().weights).size(), 1u);
  try {
    (void)map();
    ADD_FAILURE() << "packed weights were written somewhere";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::io) << error.what();
    EXPECT_NE(std::string(error.what()).find(panels().string()), std::string::npos) << error.what();
  }
  if (home != nullptr) ::setenv("HOME", kept.c_str(), 1);
}

TEST_P(PanelFile, AMisalignedOneIsMadeAnew) {
  const std::vector<float> expected = logits(*read());
  (void)map();
  const std::string made = read_file_text(panels());
  std::string shifted = made;
  shifted.insert(shifted.begin() + 9, ' ');  // behind the header's brace
  std::uint64_t length = 0;
  std::memcpy(&length, shifted.data(), sizeof length);
  ++length;
  std::memcpy(shifted.data(), &length, sizeof length);
  write_file_atomically(panels(), std::string_view(shifted));
  EXPECT_EQ(logits(*map()), expected);
  EXPECT_EQ(read_file_text(panels()), made);
}

TEST_P(PanelFile, WhatAKilledMakerLeftIsRemoved) {
  const auto leave = [&](pid_t maker, std::chrono::hours age) {
    const fs::path file = panels().string() + "." + std::to_string(maker) + ".0.tmp";
    write_file_atomically(file, std::string_view("half"));
    fs::last_write_time(file, fs::file_time_type::clock::now() - age);
    return file;
  };
  constexpr pid_t kNobody = 2'000'000'000;  // beyond what systems number processes by
  const fs::path dead = leave(kNobody, std::chrono::hours(1));
  const fs::path elsewhere = leave(kNobody + 1, std::chrono::hours(0));
  const fs::path alive = leave(::getpid(), std::chrono::hours(1));
  (void)map();
  EXPECT_FALSE(fs::exists(dead));
  EXPECT_TRUE(fs::exists(elsewhere)) << "it is being written, by a process of another machine";
  EXPECT_TRUE(fs::exists(alive));
}

class InterruptedPanelFile : public PanelFile {
 protected:
  [[noreturn]] void map_when_interrupted() const {
    install_interrupt_handler();
    std::raise(SIGINT);
    int code = 0;
    try {
      (void)map();
    } catch (const Error& error) {
      code = exit_code(error.kind());
    }
    const auto files = std::distance(fs::directory_iterator(folder), fs::directory_iterator());
    fs::remove_all(scratch.path());
    std::_Exit(files == 1 ? code : 1);  // the weights alone
  }
};
INSTANTIATE_TEST_SUITE_P(One, InterruptedPanelFile, testing::Values(std::tuple(0, std::string("int8"))));

TEST_P(InterruptedPanelFile, IsNotMadeToItsEnd) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(map_when_interrupted(), testing::ExitedWithCode(exit_code(ErrorKind::interrupted)), "");
}

// The estimate against what the file and a cache hold.
TEST_P(PanelFile, TheMemoryOfDecodingIsKnownBefore) {
  const auto mapped = map();
  const Transformer shapes(mapped->config(), small_vocabulary(), small_layout(),
                           nn::ParameterStart::shapes());
  const DecodingMemory memory = decoding_memory(shapes, precision(), 3, 130, {.mapped = true});
  double held = 0;
  const SafetensorsFile file(panels());
  for (const auto& [name, view] : file.tensors()) held += static_cast<double>(view.bytes.size());
  EXPECT_GT(static_cast<double>(memory.weights), 0.8 * held) << "but for tables and hashes";
  EXPECT_LE(static_cast<double>(memory.weights), held);
  const TransformerConfig& c = shapes.config();
  const kernels::KeyValueCache cache(3, c.stored_heads(), 130, c.attention_head_size(), precision().cache);
  std::int64_t bytes = 0;
  for (const at::Tensor& part : {cache.keys(), cache.values(), cache.key_scales(), cache.value_scales()})
    if (part.defined()) bytes += static_cast<std::int64_t>(part.nbytes());
  EXPECT_EQ(memory.cache, c.block_count() * bytes);
  EXPECT_GT(decoding_memory(shapes, precision(), 3, 130, {.mapped = false}).weights, memory.weights);
}

}  // namespace
}  // namespace omni::model
