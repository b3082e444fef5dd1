#include "omni/checkpoint/manifest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "omni/core/error.h"

namespace omni::checkpoint {
namespace {

Manifest example() {
  Manifest manifest;
  manifest.run = {.step = 40, .tokens = 81920, .seconds = 0.1, .inputs = {{"shards", "00ff"}}, .numbers = {}};
  manifest.run.numbers = {{"third", 1.0 / 3}, {"large", 123456789012.0}, {"infinite", HUGE_VAL}};
  manifest.written = 1790000000;
  manifest.config = "seed: 1\n\"quoted\": \\n\n";
  manifest.shards = {{"shard-00000-of-00002.safetensors", 100, 0xffff0000ffff0000},
                     {"shard-00001-of-00002.safetensors", 0, 7}};
  manifest.common = {{"image_tokenizer/config.yaml", 12, 0}};
  return manifest;
}

TEST(CheckpointManifest, ComesBackBitForBit) {
  const Manifest written = example(), read = parse_manifest(to_json(written), "test");
  EXPECT_EQ(read.run.step, 40);
  EXPECT_EQ(read.run.tokens, 81920);
  EXPECT_EQ(read.run.seconds, 0.1);
  EXPECT_EQ(read.run.inputs, written.run.inputs);
  EXPECT_EQ(read.run.numbers.at("third"), 1.0 / 3);
  EXPECT_EQ(read.run.numbers.at("large"), 123456789012.0);
  EXPECT_TRUE(std::isnan(read.run.numbers.at("infinite")));
  EXPECT_EQ(read.written, written.written);
  EXPECT_EQ(read.config, written.config);
  EXPECT_EQ(read.shards, written.shards);
  EXPECT_EQ(read.common, written.common);
}

// Every single byte counts, so a step or a sum of losses cannot change unnoticed.
TEST(CheckpointManifest, AnyChangedByteIsFound) {
  const std::string text = to_json(example());
  for (std::size_t i = 0; i + 1 < text.size(); ++i) {
    std::string changed = text;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    EXPECT_THROW(parse_manifest(changed, "test"), Error) << i << ": " << text.substr(i, 20);
    EXPECT_THROW(parse_manifest(text.substr(0, i), "test"), Error) << i;
  }
}

TEST(CheckpointManifest, NamesNoFileOutsideItsFolders) {
  for (const char* name : {"", ".", "..", "../shard", "a/b", "/etc/passwd", ".hidden", "a b", "a\\b"}) {
    Manifest manifest = example();
    manifest.shards[0].name = name;
    EXPECT_THROW(parse_manifest(to_json(manifest), "test"), Error) << name;
  }
  for (const char* name : {"", "..", "a/../b", "a//b", "/a", "a/", "a/b/c/d/e"}) {
    Manifest manifest = example();
    manifest.common[0].name = name;
    EXPECT_THROW(parse_manifest(to_json(manifest), "test"), Error) << name;
  }
  Manifest twice = example();
  twice.shards[1].name = twice.shards[0].name;
  EXPECT_THROW(parse_manifest(to_json(twice), "test"), Error);
}

}  // namespace
}  // namespace omni::checkpoint
