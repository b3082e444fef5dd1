#include "token_cut.h"

#include <algorithm>
#include <array>
#include <bit>

#include "omni/core/error.h"

namespace omni::kernels {
namespace {

using token_rules::key_of;

struct Entry {
  std::uint32_t key;
  std::uint64_t measure;
};

constexpr std::size_t kFewEntries = 128;  // below this, ordering them costs less than another histogram
constexpr int kDigitBits = 11;

// Narrows the entries to those that share the digit in which the cut lies; `above` grows by what lies higher.
void narrow(std::vector<Entry>& entries, std::uint32_t least, std::uint32_t most, std::uint64_t needed,
            std::uint64_t& above) {
  const int shift = std::max(0, static_cast<int>(std::bit_width(most - least)) - kDigitBits);
  std::array<std::uint64_t, 1 << kDigitBits> measures{};
  for (const Entry& entry : entries) measures[(entry.key - least) >> shift] += entry.measure;
  std::size_t digit = (most - least) >> shift;
  while (digit > 0 && above + measures[digit] < needed) above += measures[digit--];
  std::erase_if(entries, [&](const Entry& entry) { return (entry.key - least) >> shift != digit; });
}

}  // namespace

TokenCut find_cut(const CandidateList& list, CutMeasure measure, std::uint64_t needed) {
  std::vector<Entry> entries(list.size());
  for (std::size_t i = 0; i < list.size(); ++i)
    entries[i] = {key_of(list.scores[i]), measure == CutMeasure::mass ? list.weights[i] : 1};
  std::uint64_t above = 0;
  while (entries.size() > kFewEntries) {
    const auto [least, most] = std::minmax_element(
        entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.key < b.key; });
    if (least->key == most->key) break;
    narrow(entries, least->key, most->key, needed, above);
  }
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.key > b.key; });
  for (std::size_t first = 0; first < entries.size();) {
    std::size_t last = first;
    while (last < entries.size() && entries[last].key == entries[first].key) ++last;
    const std::uint64_t each = entries[first].measure;
    if (above + each * (last - first) >= needed)
      return {entries[first].key, (needed - above + each - 1) / each};
    above += each * (last - first);
    first = last;
  }
  fail(ErrorKind::internal, "internal error: a cut lies beyond the candidates");
}

CandidateList prefix_of(const CandidateList& list, const TokenCut& cut) {
  CandidateList kept;
  std::uint64_t tied = 0;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const std::uint32_t key = key_of(list.scores[i]);
    if (key < cut.key || (key == cut.key && tied++ >= cut.ties)) continue;
    kept.scores.push_back(list.scores[i]);
    kept.indices.push_back(list.indices[i]);
    if (!list.weights.empty()) kept.weights.push_back(list.weights[i]);
  }
  return kept;
}

std::size_t last_of_prefix(const CandidateList& list, const TokenCut& cut) {
  std::uint64_t tied = 0;
  for (std::size_t i = 0; i < list.size(); ++i)
    if (key_of(list.scores[i]) == cut.key && ++tied == cut.ties) return i;
  fail(ErrorKind::internal, "internal error: a cut without its last candidate");
}

}  // namespace omni::kernels
