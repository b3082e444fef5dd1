#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace omni::tokenizers {

// What the tokens of each modality are: from how large a vocabulary, how many of them, and which tokenizer
// makes them. A modality that is absent has vocabulary 0.
struct TextTokens {
  std::int32_t vocabulary = 0;
  std::uint64_t tokenizer = 0;  // fingerprint

  bool present() const { return vocabulary > 0; }
  friend bool operator==(const TextTokens&, const TextTokens&) = default;
};

struct ImageTokens {
  std::int32_t vocabulary = 0;
  std::int64_t grid_side = 0;   // codes per side of an image
  std::uint64_t tokenizer = 0;  // fingerprint

  std::int64_t codes() const { return grid_side * grid_side; }
  bool present() const { return vocabulary > 0; }
  friend bool operator==(const ImageTokens&, const ImageTokens&) = default;
};

struct ShapeTokens {
  std::int32_t geometry_vocabulary = 0;
  // The offered numbers of codes, ascending; the last is the full length.
  std::vector<std::int64_t> geometry_lengths;
  std::int64_t geometry_grid_side = 0;  // 0: a sequence, not a cube of side^3
  std::int32_t colour_vocabulary = 0;   // 0: no colour
  std::int64_t colour_codes = 0;
  std::int64_t colour_grid_side = 0;  // 0: a sequence
  std::uint64_t tokenizer = 0;        // fingerprint

  std::int64_t geometry_codes() const { return geometry_lengths.empty() ? 0 : geometry_lengths.back(); }
  bool present() const { return geometry_vocabulary > 0; }
  friend bool operator==(const ShapeTokens&, const ShapeTokens&) = default;
};

// What the tokens of a set of tokenizers are. Token shards keep it; layouts and vocabularies are made from
// it.
struct TokenFormat {
  TextTokens text;
  ImageTokens image;
  ShapeTokens shape;

  friend bool operator==(const TokenFormat&, const TokenFormat&) = default;
};

// "" if tokens of both may be mixed, else what differs: "the image tokenizer". Modalities that one of them
// lacks do not count.
std::string difference(const TokenFormat& a, const TokenFormat& b);

// `format`, and what it lacks of `other`.
TokenFormat join(TokenFormat format, const TokenFormat& other);

}  // namespace omni::tokenizers
