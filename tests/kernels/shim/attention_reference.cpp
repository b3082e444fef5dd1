#include "attention_reference.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

namespace omni::kernels::shim_test {
namespace {

// What fp32 sums of a few hundred terms and the GPU's exp2 add, relative to the sum of absolute terms.
constexpr double kFloatError = 2e-5;

// Starts of documents of random lengths, some of them one row long.
std::vector<int> document_starts(int rows, std::mt19937_64& random) {
  std::vector<int> starts;
  for (int row = 0; row < rows;) {
    starts.push_back(row);
    row += random() % 4 == 0 ? 1 + static_cast<int>(random() % 3) : 1 + static_cast<int>(random() % 90);
  }
  starts.push_back(rows);
  return starts;
}

Spans causal(int rows, std::mt19937_64& random) {
  Spans spans;
  const std::vector<int> starts = document_starts(rows, random);
  for (std::size_t d = 0; d + 1 < starts.size(); ++d)
    for (int row = starts[d]; row < starts[d + 1]; ++row) {
      spans.first.push_back(starts[d]);
      spans.last.push_back(row + 1);
    }
  return spans;
}

void join_runs(Spans& spans, std::mt19937_64& random) {
  const int rows = static_cast<int>(spans.first.size());
  for (int row = 0; row < rows;) {
    const int length = 1 + static_cast<int>(random() % 40);
    int end = row;
    while (end < rows && end < row + length && spans.first[end] == spans.first[row]) ++end;
    if (random() % 2 == 0) std::fill(spans.last.begin() + row, spans.last.begin() + end, end);
    row = end;
  }
}

void empty_some(Spans& spans, std::mt19937_64& random) {
  for (std::size_t row = 0; row < spans.first.size();) {
    std::size_t end = row;
    while (end < spans.first.size() && spans.first[end] == spans.first[row]) ++end;
    if (random() % 3 == 0)
      for (std::size_t i = row; i < end; ++i) spans.last[i] = spans.first[i];
    row = end;
  }
}

Spans sorted(int rows, int key_rows, int jump, std::mt19937_64& random) {
  Spans spans;
  int first = 0, last = 0;
  for (int row = 0; row < rows; ++row) {
    if (random() % 8 == 0) first = std::min(key_rows, first + static_cast<int>(random() % jump));
    last = std::max({last, first, std::min(key_rows, first + static_cast<int>(random() % 20))});
    spans.first.push_back(first);
    spans.last.push_back(last);
  }
  return spans;
}

// One row of one head: scores, weights and what depends on them.
struct Row {
  int first, last;
  std::vector<double> weights, exponent_error;
  double log_sum;
};

class Reference {
 public:
  Reference(const AttentionShape& shape, const Spans& spans, const Values& query, const Values& key,
            const Values& value)
      : s_(shape), spans_(spans), query_(query), key_(key), value_(value) {}

  std::size_t query_index(int row, int head) const {
    return (static_cast<std::size_t>(row) * s_.heads + head) * s_.head_size;
  }
  std::size_t key_index(int row, int head) const {
    return (static_cast<std::size_t>(row) * s_.key_value_heads + head / s_.group()) * s_.head_size;
  }

  Row row(int i, int head) const {
    Row r{spans_.first[i], spans_.last[i], {}, {}, -std::numeric_limits<double>::infinity()};
    double largest = r.log_sum, sum = 0;
    for (int j = r.first; j < r.last; ++j) {
      double dot = 0, size = 0;
      for (int d = 0; d < s_.head_size; ++d) {
        const double product = query_[query_index(i, head) + d] * key_[key_index(j, head) + d];
        dot += product;
        size += std::fabs(product);
      }
      r.weights.push_back(dot * s_.scale);
      r.exponent_error.push_back(kFloatError * (1 + size * s_.scale));
      largest = std::max(largest, dot * s_.scale);
    }
    for (double& w : r.weights) sum += w = std::exp(w - largest);
    for (double& w : r.weights) w /= sum;
    if (sum > 0) r.log_sum = largest + std::log(sum);
    return r;
  }

  double value(int j, int head, int d) const { return value_[key_index(j, head) + d]; }

 private:
  const AttentionShape& s_;
  const Spans& spans_;
  const Values &query_, &key_, &value_;
};

Bounded zeros(std::size_t count) { return {Values(count), Values(count)}; }

// value += x, error += e.
void add(Bounded& sum, std::size_t i, double x, double e) {
  sum.value[i] += x;
  sum.error[i] += e;
}

// Adds what one row of one head contributes.
struct TruthOfRow {
  const AttentionShape& s;
  const Reference& reference;
  const Values &query, &key, &output_gradient;
  const Rounding& format;
  AttentionTruth& t;

  // What the gradients need of the forward pass: output times its gradient.
  struct Delta {
    double value = 0, error = 0, slack = 0;
  };

  Delta output(const Row& row, int i, int head) {
    const std::size_t at = reference.query_index(i, head),
                      sum_at = static_cast<std::size_t>(head) * s.rows + i;
    Delta delta{0, 0, kFloatError};
    for (const double e : row.exponent_error) delta.slack = std::max(delta.slack, 2 * e);
    t.log_sum.value[sum_at] = row.log_sum;
    t.log_sum.error[sum_at] = delta.slack * (1 + std::fabs(row.log_sum));
    for (int d = 0; d < s.head_size; ++d) {
      for (int j = row.first; j < row.last; ++j) {
        const double w = row.weights[j - row.first], v = reference.value(j, head, d);
        add(t.output, at + d, w * v, (w * (format.rounding + delta.slack) + format.tiny) * std::fabs(v));
      }
      const double o = t.output.value[at + d], g = output_gradient[at + d];
      t.output.error[at + d] += format.rounding * std::fabs(o) + format.tiny;
      delta.value += o * g;
      delta.error += (t.output.error[at + d] + kFloatError * std::fabs(o)) * std::fabs(g);
    }
    return delta;
  }

  void gradients(const Row& row, int i, int head, const Delta& delta) {
    const std::size_t at = reference.query_index(i, head);
    for (int j = row.first; j < row.last; ++j) {
      const double w = row.weights[j - row.first];
      const std::size_t key_at = reference.key_index(j, head);
      double weight_gradient = 0, size = std::fabs(delta.value);
      for (int d = 0; d < s.head_size; ++d) {
        const double product = output_gradient[at + d] * reference.value(j, head, d);
        weight_gradient += product;
        size += std::fabs(product);
      }
      const double score = w * (weight_gradient - delta.value);
      const double score_error =
          std::fabs(score) * format.rounding + format.tiny + w * (delta.error + delta.slack * size);
      for (int d = 0; d < s.head_size; ++d) {
        const double g = output_gradient[at + d], k = key[key_at + d], q = query[at + d];
        add(t.value_gradient, key_at + d, w * g,
            (w * (format.rounding + delta.slack) + format.tiny) * std::fabs(g));
        add(t.query_gradient, at + d, s.scale * score * k, s.scale * score_error * std::fabs(k));
        add(t.key_gradient, key_at + d, s.scale * score * q, s.scale * score_error * std::fabs(q));
      }
    }
  }
};

}  // namespace

Spans make_spans(MaskKind kind, int rows, int key_rows, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  switch (kind) {
    case MaskKind::gaps:
      return sorted(rows, key_rows, 8 * key_rows / rows + 100, random);
    case MaskKind::scattered:
      return sorted(rows, key_rows, 8 * key_rows / rows + 2, random);
    case MaskKind::full:
      return {std::vector<std::int32_t>(rows, 0), std::vector<std::int32_t>(rows, key_rows)};
    default:
      break;
  }
  Spans spans = causal(rows, random);
  if (kind == MaskKind::spans) join_runs(spans, random);
  if (kind == MaskKind::with_empty) empty_some(spans, random);
  return spans;
}

AttentionTruth attention_truth(const AttentionShape& s, const Spans& spans, const Values& query,
                               const Values& key, const Values& value, const Values& output_gradient,
                               const Rounding& format) {
  const Reference reference(s, spans, query, key, value);
  AttentionTruth t;
  t.output = t.query_gradient = zeros(query.size());
  t.key_gradient = t.value_gradient = zeros(key.size());
  t.log_sum = zeros(static_cast<std::size_t>(s.heads) * s.rows);
  TruthOfRow add_row{s, reference, query, key, output_gradient, format, t};
  for (int head = 0; head < s.heads; ++head)
    for (int i = 0; i < s.rows; ++i) {
      const Row row = reference.row(i, head);
      add_row.gradients(row, i, head, add_row.output(row, i, head));
    }
  for (Bounded* gradient : {&t.query_gradient, &t.key_gradient, &t.value_gradient})
    for (std::size_t i = 0; i < gradient->value.size(); ++i)
      gradient->error[i] += format.rounding * std::fabs(gradient->value[i]) + format.tiny;
  return t;
}

double attention_objective(const AttentionShape& s, const Spans& spans, const Values& query,
                           const Values& key, const Values& value, const Values& output_gradient) {
  const Reference reference(s, spans, query, key, value);
  double objective = 0;
  for (int head = 0; head < s.heads; ++head)
    for (int i = 0; i < s.rows; ++i) {
      const Row row = reference.row(i, head);
      for (int j = row.first; j < row.last; ++j)
        for (int d = 0; d < s.head_size; ++d)
          objective += row.weights[j - row.first] * reference.value(j, head, d) *
                       output_gradient[reference.query_index(i, head) + d];
    }
  return objective;
}

}  // namespace omni::kernels::shim_test
