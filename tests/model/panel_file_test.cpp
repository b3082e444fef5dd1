#include "omni/model/panel_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>

#include "omni/core/files.h"
#include "omni/kernels/decode_attention.h"
#include "omni/model/decoding_memory.h"
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

  // Codes with codebooks, whose share is in the rows of a mapped model.
  void save(std::uint64_t seed) const {
    const Transformer fresh(config(), small_vocabulary(), small_layout(), seed, small_codebooks());
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
  std::unique_ptr<Transformer> map() const {
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

TEST_P(PanelFile, LiesInTheCacheFolderWhereTheWeightsCannotBeWrittenBeside) {
  if (::geteuid() == 0) GTEST_SKIP() << "the superuser may write anywhere";
  fs::permissions(folder, fs::perms::owner_read | fs::perms::owner_exec);
  const std::vector<float> mapped = logits(*map());
  EXPECT_FALSE(fs::exists(panels()));
  const fs::path cached = panel_file_places(folder / "model.safetensors", precision().weights)[1];
  EXPECT_TRUE(fs::exists(cached));
  EXPECT_EQ(fs::relative(cached, scratch / "cache").string().find(".."), std::string::npos);
  EXPECT_EQ(mapped, logits(*read()));
  fs::permissions(folder, fs::perms::owner_all);
}

// The estimate against what the file and a cache hold.
TEST_P(PanelFile, TheMemoryOfDecodingIsKnownBefore) {
  const auto mapped = map();
  const Transformer shapes(mapped->config(), small_vocabulary(), small_layout(),
                           nn::ParameterStart::shapes());
  const DecodingMemory memory = decoding_memory(shapes, precision(), 3, 130, true);
  const auto file = static_cast<double>(fs::file_size(panels()));
  EXPECT_GT(static_cast<double>(memory.weights), 0.8 * file) << "but for the header";
  EXPECT_LE(static_cast<double>(memory.weights), file);
  const TransformerConfig& c = shapes.config();
  const kernels::KeyValueCache cache(3, c.stored_heads(), 130, c.attention_head_size(), precision().cache);
  std::int64_t bytes = 0;
  for (const at::Tensor& part : {cache.keys(), cache.values(), cache.key_scales(), cache.value_scales()})
    if (part.defined()) bytes += static_cast<std::int64_t>(part.nbytes());
  EXPECT_EQ(memory.cache, c.block_count() * bytes);
  EXPECT_GT(decoding_memory(shapes, precision(), 3, 130, false).weights, memory.weights);
}

}  // namespace
}  // namespace omni::model
