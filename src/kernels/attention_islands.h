#pragma once

#include "omni/kernels/attention_spans.h"

namespace omni::kernels {

// What rows see of the island (AttentionSpans::islands) that they stand in: all of it up to themselves, all of it,
// or something else.
enum class IslandKind { causal, full, other };
IslandKind kind_of(const AttentionSpans& spans, const RowRange& island);

// Whether every island is a causal document.
bool holds_causal_documents(const AttentionSpans& spans);

}  // namespace omni::kernels
