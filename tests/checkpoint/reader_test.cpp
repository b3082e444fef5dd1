#include "omni/checkpoint/reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "checkpoint_fixture.h"
#include "omni/checkpoint/convert.h"
#include "omni/core/error.h"

namespace omni::checkpoint {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

void expect_tensors(const CheckpointReader& reader, const KnownTensors& known) {
  ASSERT_EQ(reader.tensors().size(), KnownTensors::names().size());
  for (std::size_t t = 0; t < KnownTensors::names().size(); ++t) {
    const std::string& name = KnownTensors::names()[t];
    EXPECT_EQ(reader.tensors().at(name), KnownTensors::shapes()[t]);
    std::vector<float> whole(known.values(t).size());
    reader.read(name, 0, whole);
    EXPECT_EQ(whole, known.values(t)) << name;
  }
}

// A shard of each of so many ranks, as they would write them.
void write_as(const RunFolder& run, std::int64_t step, int ranks) {
  const KnownTensors tensors(step);
  Manifest manifest = run.manifest(step);
  prepare_output_directory(run.at(step));
  for (int rank = 0; rank < ranks; ++rank)
    manifest.shards.push_back(
        write_shard(run.at(step) / shard_name(rank, ranks), tensors.pieces(rank, ranks)));
  write_file_atomically(run.at(step) / kManifestName, to_json(manifest));
}

TEST(CheckpointReading, TheNumberOfRanksDoesNotMatter) {
  const RunFolder run;
  for (const int ranks : {1, 2, 3, 7}) {
    write_as(run, ranks, ranks);
    EXPECT_THAT(damage_of(run.at(ranks)), testing::IsEmpty());
    const CheckpointReader reader(run.at(ranks));
    const KnownTensors known(ranks);
    expect_tensors(reader, known);
    // Any other stretch, too, as another number of ranks would read it.
    const std::vector<float>& all = known.values(0);
    for (std::size_t first = 0; first < 12; ++first)
      for (std::size_t count = 0; first + count <= 12; ++count) {
        std::vector<float> part(count);
        reader.read("a.value", static_cast<std::int64_t>(first), part);
        EXPECT_TRUE(std::equal(part.begin(), part.end(), all.begin() + static_cast<std::ptrdiff_t>(first)));
      }
    std::vector<float> beyond(2);
    EXPECT_THROW(reader.read("a.value", 11, beyond), Error);
    EXPECT_THROW(reader.read("d.value", 0, beyond), Error);
  }
}

TEST(CheckpointReading, EachDamagedFileIsNamed) {
  const RunFolder run;
  write_as(run, 1, 2);
  const fs::path shard = run.at(1) / "shard-00001-of-00002.safetensors";
  const auto damaged = [&](const fs::path& path, const std::function<void()>& damage) {
    const std::vector<std::byte> good = read_file_bytes(path);
    damage();
    const std::vector<std::string> found = damage_of(run.at(1));
    write_file_atomically(path, good);
    EXPECT_THAT(damage_of(run.at(1)), testing::IsEmpty());
    return found;
  };
  const auto names = [](const fs::path& path) { return ElementsAre(HasSubstr(path.filename().string())); };
  EXPECT_THAT(damaged(shard, [&] { flip_a_bit(shard); }), names(shard));
  EXPECT_THAT(damaged(shard, [&] { fs::resize_file(shard, 40); }), names(shard));
  EXPECT_THAT(damaged(shard, [&] { fs::remove(shard); }), names(shard));
  const fs::path manifest = run.at(1) / kManifestName;
  EXPECT_THAT(damaged(manifest, [&] { flip_a_bit(manifest); }), names(manifest));
  EXPECT_THAT(damaged(manifest, [&] { fs::remove(manifest); }), names(manifest));
  const fs::path tokenizer = common_folder(run.path()) / "image_tokenizer" / "config.yaml";
  EXPECT_THAT(damaged(tokenizer, [&] { flip_a_bit(tokenizer); }), names(tokenizer));
}

// Checksums are right, and yet the shards do not make whole tensors.
TEST(CheckpointReading, ShardsOfDifferentCheckpointsAreRefused) {
  const RunFolder run;
  const auto refusal = [&](const std::vector<std::pair<int, int>>& ranks) {
    Manifest manifest = run.manifest(5);
    fs::remove_all(run.at(5));
    prepare_output_directory(run.at(5));
    for (const auto& [rank, of] : ranks)
      manifest.shards.push_back(
          write_shard(run.at(5) / shard_name(rank, of), KnownTensors(5).pieces(rank, of)));
    write_file_atomically(run.at(5) / kManifestName, to_json(manifest));
    return damage_of(run.at(5));
  };
  EXPECT_THAT(refusal({{0, 2}}), ElementsAre(HasSubstr("missing or there twice")));
  EXPECT_THAT(refusal({{0, 2}, {1, 2}, {2, 3}}), ElementsAre(HasSubstr("missing or there twice")));
  EXPECT_THAT(refusal({{0, 2}, {1, 2}}), testing::IsEmpty());
}

TEST(CheckpointConversion, KeepsEveryElementWhateverTheShards) {
  const RunFolder run;
  write_as(run, 6, 2);
  for (const int shards : {1, 3, 4}) {
    const fs::path to = run.folder() / ("converted" + std::to_string(shards)) / "step-00000006";
    convert_checkpoint(run.at(6), to, shards);
    EXPECT_THAT(damage_of(to), testing::IsEmpty());
    const CheckpointReader reader(to);
    EXPECT_EQ(reader.manifest().shards.size(), static_cast<std::size_t>(shards));
    EXPECT_EQ(reader.manifest().run.numbers, run.manifest(6).run.numbers);
    EXPECT_EQ(reader.manifest().config, "seed: 1\n");
    expect_tensors(reader, KnownTensors(6));
    EXPECT_TRUE(fs::exists(reader.common_folder() / "image_tokenizer" / "config.yaml"));
    EXPECT_THROW(convert_checkpoint(run.at(6), to, shards), Error);
  }
}

}  // namespace
}  // namespace omni::checkpoint
