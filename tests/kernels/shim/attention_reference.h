#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace omni::kernels::shim_test {

// Which rows see which keys.
enum class MaskKind {
  causal_documents,  // several documents, each row sees its document up to itself
  spans,             // the same, and runs of rows that also see each other
  with_empty,        // causal documents, some of whose rows see nothing
  gaps,              // rows jump over keys that nobody sees
  scattered,         // any non-decreasing arrays
  full,              // all rows see all keys
};

struct Spans {
  std::vector<std::int32_t> first, last;
};
// Both arrays never decrease. For documents key_rows must be rows.
Spans make_spans(MaskKind kind, int rows, int key_rows, std::uint64_t seed);

struct AttentionShape {
  int rows, key_rows, heads, key_value_heads, head_size;
  double scale;
  int group() const { return heads / key_value_heads; }
};

// [rows, heads, head_size] in double.
using Values = std::vector<double>;

// For each number of a result: the value in double precision, and a bound for the error of an implementation
// that rounds weights, gradients of scores and results to a format with unit roundoff `rounding` and smallest
// step `tiny`, and sums in fp32.
struct Bounded {
  Values value, error;
};
struct Rounding {
  double rounding, tiny;
};
struct AttentionTruth {
  Bounded output, log_sum;  // log_sum [heads, rows]
  Bounded query_gradient, key_gradient, value_gradient;
};
AttentionTruth attention_truth(const AttentionShape& shape, const Spans& spans, const Values& query,
                               const Values& key, const Values& value, const Values& output_gradient,
                               const Rounding& rounding);

// The sum of output times output_gradient alone, for finite differences.
double attention_objective(const AttentionShape& shape, const Spans& spans, const Values& query,
                           const Values& key, const Values& value, const Values& output_gradient);

}  // namespace omni::kernels::shim_test
