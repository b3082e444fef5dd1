#include "omni/sequence/vocabulary.h"

#include <algorithm>
#include <cmath>

#include "omni/core/error.h"
#include "omni/core/random.h"

namespace omni::sequence {
namespace {

constexpr std::int32_t kMaximumVocabulary = std::int32_t{1} << 30;
constexpr std::size_t kLongestName = 64;
constexpr double kSmallestSideLog10 = -3, kMaximumSideLog10 = 3;

}  // namespace

Vocabulary::Vocabulary() { ranges_.push_back({std::string(kRangeSpecial), 0, kSpecialCount}); }

TokenRange Vocabulary::append(std::string name, std::int32_t size) {
  if (name.empty() || name.size() > kLongestName) {
    fail(ErrorKind::usage, "appending a range to the vocabulary: its name must have 1 to ", kLongestName,
         " bytes.");
  }
  if (has(name)) {
    fail(ErrorKind::usage, "appending the range \"", name, "\" to the vocabulary: it exists already.");
  }
  if (size <= 0 || size > kMaximumVocabulary - this->size()) {
    fail(ErrorKind::usage, "appending the range \"", name, "\" to the vocabulary: the size ", size,
         " is impossible. A vocabulary holds at most ", kMaximumVocabulary, " tokens.");
  }
  ranges_.push_back({std::move(name), this->size(), size});
  return ranges_.back();
}

const TokenRange* Vocabulary::find(std::string_view name) const {
  const auto found =
      std::find_if(ranges_.begin(), ranges_.end(), [&](const TokenRange& r) { return r.name == name; });
  return found == ranges_.end() ? nullptr : &*found;
}

const TokenRange& Vocabulary::range(std::string_view name) const {
  if (const TokenRange* found = find(name)) return *found;
  std::string known;
  for (const TokenRange& range : ranges_) known += (known.empty() ? "" : ", ") + range.name;
  fail(ErrorKind::input, "looking up the token range \"", name, "\": this vocabulary has none. It has ",
       known, ".");
}

std::int32_t Vocabulary::size() const { return ranges_.back().first + ranges_.back().size; }

std::uint64_t Vocabulary::fingerprint() const {
  std::uint64_t hash = hash_string("omni vocabulary 1");
  for (const TokenRange& range : ranges_) {
    hash = hash_combine(hash, hash_string(range.name));
    hash = hash_combine(hash, static_cast<std::uint64_t>(range.size));
  }
  return hash;
}

bool Vocabulary::extends(const Vocabulary& older) const {
  return older.ranges_.size() <= ranges_.size() &&
         std::equal(older.ranges_.begin(), older.ranges_.end(), ranges_.begin());
}

Vocabulary make_vocabulary(const VocabularySizes& sizes) {
  Vocabulary vocabulary;
  vocabulary.append(std::string(kRangeSize), kSizeBins);
  vocabulary.append(std::string(kRangeBox), kBoxBins);
  vocabulary.append(std::string(kRangeDetail), kDetailBins);
  const std::pair<std::string_view, std::int32_t> payloads[] = {{kRangeText, sizes.text},
                                                                {kRangeImage, sizes.image},
                                                                {kRangeGeometry, sizes.geometry},
                                                                {kRangeColour, sizes.colour}};
  for (const auto& [name, size] : payloads) {
    if (size != 0) vocabulary.append(std::string(name), size);
  }
  if (sizes.views.azimuth != 0) append_views(vocabulary, sizes.views);
  return vocabulary;
}

void append_views(Vocabulary& vocabulary, ViewBins bins) {
  vocabulary.append(std::string(kRangeAzimuth), bins.azimuth);
  vocabulary.append(std::string(kRangeElevation), bins.elevation);
}

std::int32_t size_bin(float longest_side_m) {
  if (std::isnan(longest_side_m)) longest_side_m = 1;
  if (longest_side_m <= 0) return 0;
  const double share = (std::log10(static_cast<double>(longest_side_m)) - kSmallestSideLog10) /
                       (kMaximumSideLog10 - kSmallestSideLog10);
  return static_cast<std::int32_t>(std::lround(std::clamp(share, 0.0, 1.0) * (kSizeBins - 1)));
}

float size_of_bin(std::int32_t bin) {
  const double share = std::clamp(bin, 0, kSizeBins - 1) / static_cast<double>(kSizeBins - 1);
  return static_cast<float>(
      std::pow(10.0, kSmallestSideLog10 + share * (kMaximumSideLog10 - kSmallestSideLog10)));
}

std::int32_t box_bin(float share_of_longest_side) {
  if (std::isnan(share_of_longest_side)) share_of_longest_side = 1;
  return static_cast<std::int32_t>(
      std::lround(std::clamp(share_of_longest_side, 0.0f, 1.0f) * (kBoxBins - 1)));
}

float box_share_of_bin(std::int32_t bin) {
  return static_cast<float>(std::clamp(bin, 0, kBoxBins - 1)) / static_cast<float>(kBoxBins - 1);
}

std::int32_t detail_bin(std::int64_t code_count) {
  if (code_count < 1 || code_count > (std::int64_t{1} << (kDetailBins - 1))) {
    fail(ErrorKind::usage, "choosing a level of detail: ", code_count, " codes are not 1 to ",
         std::int64_t{1} << (kDetailBins - 1), ".");
  }
  std::int32_t bin = 0;
  while ((std::int64_t{1} << bin) < code_count) ++bin;
  return bin;
}

}  // namespace omni::sequence
