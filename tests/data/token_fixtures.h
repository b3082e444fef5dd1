#pragma once

#include <filesystem>
#include <memory>

#include "omni/core/random.h"
#include "omni/data/token_dataset.h"
#include "omni/geometry/camera.h"
#include "omni/sequence/layout.h"

namespace omni::data::testing {

inline TokenShardInfo small_info() {
  return {.tokens = {.text = {.vocabulary = 300, .tokenizer = 1},
                     .image = {.vocabulary = 40000, .grid_side = 2, .tokenizer = 2},
                     .shape = {.geometry_vocabulary = 512,
                               .geometry_lengths = {4, 8},
                               .geometry_grid_side = 2,
                               .colour_vocabulary = 32,
                               .colour_codes = 3,
                               .tokenizer = 3}},
          .views_per_object = 3,
          .source = 4,
          .source_name = "test"};
}

inline sequence::SequenceLayout small_layout() {
  return {.text_capacity = 12,
          .image_grid_side = 2,
          .geometry_lengths = {4, 8},
          .geometry_grid_side = 2,
          .colour_codes = 3};
}

inline sequence::Vocabulary small_vocabulary(bool views = true) {
  auto vocabulary = sequence::make_vocabulary({.text = 300, .image = 40000, .geometry = 512, .colour = 32});
  if (views) sequence::append_views(vocabulary, {geometry::kAzimuthBins, geometry::kElevationBins});
  return vocabulary;
}

inline std::vector<std::int32_t> random_codes(std::int64_t count, std::int64_t vocabulary, CounterRng& rng) {
  std::vector<std::int32_t> codes(static_cast<std::size_t>(count));
  for (auto& code : codes)
    code = static_cast<std::int32_t>(rng.below(static_cast<std::uint64_t>(vocabulary)));
  return codes;
}

inline TokenObject random_object(const TokenShardInfo& info, std::int64_t index, std::uint64_t seed = 1) {
  CounterRng rng(seed, static_cast<std::uint64_t>(index));
  TokenObject object;
  object.id = "object-" + std::to_string(index);
  object.class_name = index % 2 == 0 ? "chair" : "table";
  object.attributes = {{"colour", rng.chance(0.5) ? "red" : "green"},
                       {"height", std::to_string(rng.below(3))}};
  object.split = index % 5 == 4 ? Split::unseen_colour : Split::train;
  const tokenizers::TokenFormat& tokens = info.tokens;
  if (tokens.text.present()) {
    const auto captions = 1 + rng.below(3);
    for (std::uint64_t i = 0; i < captions; ++i) {
      // The first one always fits into the small layout's 12 tokens.
      const auto length = static_cast<std::int64_t>(rng.below(i == 0 ? 12 : 20));
      auto codes = random_codes(length, tokens.text.vocabulary, rng);
      const CaptionKind kind = rng.chance(0.5) ? CaptionKind::complete : CaptionKind::partial;
      object.captions.push_back({std::move(codes), kind});
    }
  }
  for (std::int64_t i = 0; i < info.views_per_object; ++i) {
    object.views.push_back({static_cast<std::int32_t>(3 * i), static_cast<std::int32_t>(rng.below(7)),
                            random_codes(tokens.image.codes(), tokens.image.vocabulary, rng)});
  }
  object.geometry = random_codes(tokens.shape.geometry_codes(), tokens.shape.geometry_vocabulary, rng);
  object.colour = random_codes(tokens.shape.colour_codes, tokens.shape.colour_vocabulary, rng);
  object.size = static_cast<std::int32_t>(rng.below(64));
  for (auto& extent : object.box) extent = static_cast<std::int32_t>(rng.below(32));
  return object;
}

inline std::vector<TokenObject> random_objects(const TokenShardInfo& info, std::int64_t count,
                                               std::uint64_t seed = 1) {
  std::vector<TokenObject> objects;
  for (std::int64_t i = 0; i < count; ++i) objects.push_back(random_object(info, i, seed));
  return objects;
}

// `count` objects in two shards under `folder`.
inline std::shared_ptr<const TokenDataset> make_dataset(const std::filesystem::path& folder,
                                                        std::int64_t count,
                                                        const TokenShardInfo& info = small_info()) {
  const std::vector<TokenObject> objects = random_objects(info, count);
  const std::size_t half = objects.size() / 2;
  const std::span<const TokenObject> all(objects);
  write_token_shard(folder / "shard-00000.safetensors", info, all.first(half));
  write_token_shard(folder / "shard-00001.safetensors", info, all.subspan(half));
  const std::filesystem::path folders[] = {folder};
  return std::make_shared<const TokenDataset>(TokenDataset::open(folders));
}

}  // namespace omni::data::testing
