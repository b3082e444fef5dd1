#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace omni::sequence {

// A contiguous run of token ids.
struct TokenRange {
  std::string name;
  std::int32_t first = 0;
  std::int32_t size = 0;
  bool contains(std::int32_t token) const { return token >= first && token < first + size; }
  friend bool operator==(const TokenRange&, const TokenRange&) = default;
};

// Special tokens, at fixed ids in every vocabulary.
enum Special : std::int32_t {
  kPad,
  kBos,
  kEos,
  kTextBegin,
  kTextEnd,
  kImageBegin,
  kImageEnd,
  kShapeBegin,
  kShapeEnd,
  kAny,
  kDrop,
  kPlacementBegin,
  kPlacementEnd,  // reserved for scenes
  kSpecialCount = 16,
};

// Named ranges, appended and never moved: growing a vocabulary leaves old ids untouched.
class Vocabulary {
 public:
  Vocabulary();  // holds "special" only
  // Throws Error(usage) if the name exists, is empty or longer than 64 bytes, or if the size is not positive
  // or takes the vocabulary beyond 2^30 tokens.
  TokenRange append(std::string name, std::int32_t size);
  const TokenRange* find(std::string_view name) const;  // null where there is none
  bool has(std::string_view name) const { return find(name) != nullptr; }
  const TokenRange& range(std::string_view name) const;  // throws Error(input) naming what exists
  const std::vector<TokenRange>& ranges() const { return ranges_; }
  std::int32_t size() const;
  std::uint64_t fingerprint() const;            // of names and sizes, in order
  bool extends(const Vocabulary& older) const;  // whether older's ranges are a prefix of these

  // {"format": 1, "fingerprint": "<16 hex digits>", "ranges": [{"name": "special", "size": 16}, ...]}
  std::string to_json() const;
  // Throws Error(input), also where the fingerprint does not fit the ranges; `name` appears in errors.
  static Vocabulary from_json(std::string_view text, const std::string& name);

 private:
  std::vector<TokenRange> ranges_;
};

// The names of the standard ranges. Views are appended by stage 2.
inline constexpr std::string_view kRangeSpecial = "special", kRangeSize = "size", kRangeBox = "box",
                                  kRangeDetail = "detail", kRangeText = "text", kRangeImage = "image",
                                  kRangeGeometry = "geometry", kRangeColour = "colour",
                                  kRangeAzimuth = "azimuth", kRangeElevation = "elevation";
inline constexpr std::int32_t kSizeBins = 64, kBoxBins = 32, kDetailBins = 16;

// The directions that a view tells apart: what a bin means is the camera's to say.
struct ViewBins {
  std::int32_t azimuth = 0, elevation = 0;
};
struct VocabularySizes {
  std::int32_t text = 0, image = 0, geometry = 0, colour = 0;
  ViewBins views;
};
// The other controls first, then one range per size that is not 0.
Vocabulary make_vocabulary(const VocabularySizes& sizes);
void append_views(Vocabulary& vocabulary, ViewBins bins);

// Log-quantised longest side: bin 0 is 1 mm or less, bin 63 is 1 km or more; not-a-number counts as 1 m.
std::int32_t size_bin(float longest_side_m);
float size_of_bin(std::int32_t bin);
// A box extent as a share of the longest side, 0 .. 1, linearly quantised.
std::int32_t box_bin(float share_of_longest_side);
float box_share_of_bin(std::int32_t bin);
// The number of codes as a power of two: bin k stands for more than 2^(k-1) and at most 2^k codes. Throws
// Error(usage) outside 1 .. 2^15.
std::int32_t detail_bin(std::int64_t code_count);

}  // namespace omni::sequence
