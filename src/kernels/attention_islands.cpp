#include "attention_islands.h"

#include <algorithm>
#include <vector>

namespace omni::kernels {

IslandKind kind_of(const AttentionSpans& spans, const RowRange& island) {
  bool causal = true, full = true;
  for (std::int64_t i = island.first; i < island.last; ++i) {
    if (spans.key_first()[i] != island.first) return IslandKind::other;
    causal = causal && spans.key_last()[i] == i + 1;
    full = full && spans.key_last()[i] == island.last;
  }
  if (causal) return IslandKind::causal;
  return full ? IslandKind::full : IslandKind::other;
}

bool holds_causal_documents(const AttentionSpans& spans) {
  const std::vector<RowRange> islands = spans.islands();
  return std::all_of(islands.begin(), islands.end(),
                     [&](const RowRange& island) { return kind_of(spans, island) == IslandKind::causal; });
}

}  // namespace omni::kernels
