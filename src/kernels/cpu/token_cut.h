#pragma once

#include <cstdint>
#include <vector>

#include "../token_rules.h"

namespace omni::kernels {

// Some tokens of a row, in the row's order.
struct CandidateList {
  std::vector<float> scores;
  std::vector<std::int32_t> indices;
  std::vector<std::uint64_t> weights;

  std::size_t size() const { return indices.size(); }
};

// A prefix of the candidates in sampling order (score descending, ties in the list's order), told without
// sorting them: all candidates above `key`, and the first `ties` of those at it.
struct TokenCut {
  std::uint32_t key = 0;  // token_rules::key_of a score
  std::uint64_t ties = 0;
};

enum class CutMeasure { count, mass };

// The shortest prefix with at least `needed` (>= 1) candidates, or weight. The list must hold as much.
// Selection by the digits of the keys: linear in the list's length.
TokenCut find_cut(const CandidateList& list, CutMeasure measure, std::uint64_t needed);

CandidateList prefix_of(const CandidateList& list, const TokenCut& cut);
// The place in the list of the prefix's last candidate.
std::size_t last_of_prefix(const CandidateList& list, const TokenCut& cut);

}  // namespace omni::kernels
