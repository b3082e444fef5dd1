#include "input_noise.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

namespace omni::data {
namespace {

std::vector<sequence::TokenRange> code_ranges(const sequence::Vocabulary& vocabulary) {
  std::vector<sequence::TokenRange> ranges;
  for (const std::string_view name :
       {sequence::kRangeImage, sequence::kRangeGeometry, sequence::kRangeColour})
    if (vocabulary.has(name)) ranges.push_back(vocabulary.range(name));
  return ranges;
}

}  // namespace

void add_input_noise(sequence::PackedSequence& sequence, const sequence::Vocabulary& vocabulary,
                     InputNoise noise, CounterRng rng) {
  const std::vector<sequence::TokenRange> codes = code_ranges(vocabulary);
  std::map<std::pair<sequence::Modality, std::int32_t>, std::int32_t>
      seen;  // by slot, of the documents before
  for (std::int64_t d = 0; d < sequence.document_count(); ++d) {
    const double wrong_codes = 2 * noise.codes * rng.uniform(),
                 wrong_controls = 2 * noise.controls * rng.uniform();
    const auto first = static_cast<std::size_t>(sequence.document_starts[d]),
               last = static_cast<std::size_t>(sequence.document_starts[d + 1]);
    for (std::size_t i = first + 1; i < last; ++i) {
      const sequence::Modality modality = sequence.streams[i];
      if (modality == sequence::Modality::text || sequence.loss_weights[i - 1] <= 0) continue;
      std::int32_t& token = sequence.tokens[i];
      const auto [before, is_first] = seen.try_emplace({modality, sequence.slots[i]}, token);
      const std::int32_t true_token = token;
      const bool is_code = std::any_of(codes.begin(), codes.end(), [&](const sequence::TokenRange& range) {
        return range.contains(token);
      });
      const double chance = is_code ? wrong_codes : wrong_controls;
      if (!is_first && rng.chance(chance)) token = before->second;
      before->second = true_token;
    }
  }
}

}  // namespace omni::data
