#pragma once

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "omni/kernels/attention_spans.h"
#include "omni/kernels/tensor.h"

namespace omni::kernels {

// Attention by the textbook, in double precision with a dense mask. Rows that see nothing give zeros.
inline at::Tensor true_attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                                 const AttentionSpans& spans) {
  const std::int64_t rows = spans.rows(), group = query.size(1) / key.size(1);
  const auto heads = [](const at::Tensor& x, std::int64_t repeat) {
    return x.to(at::kDouble).transpose(0, 1).repeat_interleave(repeat, 0);
  };
  at::Tensor seen = at::zeros({rows, rows}, at::kDouble);
  for (std::int64_t i = 0; i < rows; ++i)
    for (std::int64_t j = spans.key_first()[i]; j < spans.key_last()[i]; ++j)
      seen[i].narrow(0, j, 1).fill_(1);
  const at::Tensor scores =
      at::matmul(heads(query, 1), heads(key, group).transpose(1, 2)) / std::sqrt(double(query.size(2)));
  const at::Tensor top = scores.detach().masked_fill(seen.eq(0), -1e300).amax(-1, true);
  const at::Tensor weights = (scores - top).clamp_max(0).exp() * seen;
  const at::Tensor mass = weights.sum(-1, true);
  return at::matmul(weights / mass.where(mass.gt(0), at::ones_like(mass)), heads(value, group))
      .transpose(0, 1);
}

inline std::vector<std::int64_t> random_documents(std::int64_t rows, std::mt19937& random) {
  std::vector<std::int64_t> starts = {0};
  while (starts.back() < rows) {
    std::int64_t length = std::uniform_int_distribution<std::int64_t>(0, 90)(random);
    if (length > 70) length = length % 3;  // empty and tiny documents
    starts.push_back(std::min(rows, starts.back() + length));
  }
  return starts;
}

// Documents with bidirectional segments.
inline AttentionSpans random_segments(std::int64_t rows, std::mt19937& random) {
  const std::vector<std::int64_t> starts = random_documents(rows, random);
  std::vector<RowRange> segments;
  for (std::size_t d = 0; d + 1 < starts.size(); ++d) {
    std::int64_t first = starts[d] + std::uniform_int_distribution<std::int64_t>(0, 20)(random);
    while (first < starts[d + 1]) {
      const std::int64_t last =
          std::min(starts[d + 1], first + std::uniform_int_distribution<std::int64_t>(0, 30)(random));
      segments.push_back({first, last});
      first = last + std::uniform_int_distribution<std::int64_t>(1, 25)(random);
    }
  }
  return AttentionSpans::causal_with_segments(starts, segments);
}

// Any spans that are allowed: windows that move on by random steps, some of them empty.
inline AttentionSpans random_windows(std::int64_t rows, std::mt19937& random) {
  std::vector<std::int32_t> first(rows), last(rows);
  std::int64_t low = 0, high = 0;
  for (std::int64_t i = 0; i < rows; ++i) {
    const int kind = std::uniform_int_distribution<int>(0, 9)(random);
    low = std::min(rows, low + (kind < 6 ? 0 : std::uniform_int_distribution<std::int64_t>(0, 5)(random)));
    high = std::min(rows, high + std::uniform_int_distribution<std::int64_t>(0, kind == 9 ? 12 : 2)(random));
    if (kind == 5 && i % 7 == 0) low = high;  // sees nothing
    high = std::max(low, high);
    first[i] = static_cast<std::int32_t>(low);
    last[i] = static_cast<std::int32_t>(high);
  }
  return {std::move(first), std::move(last)};
}

}  // namespace omni::kernels
