#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "omni/core/random.h"
#include "omni/kernels/token_sampling.h"

namespace omni::kernels::sampling_test {

// What token sampling is tested against: the definition, by sorting everything in double precision.

constexpr float kNever = -std::numeric_limits<float>::infinity();

// An input that owns what it is made of.
struct Case {
  std::string name;
  std::vector<std::vector<float>> rows;
  std::vector<double> guidance;
  std::vector<TokenRun> allowed;
  std::vector<std::int32_t> seen;
  SamplingSettings settings;
};

// Points into a case.
class CaseInput {
 public:
  explicit CaseInput(const Case& c) : rows_(c.rows.begin(), c.rows.end()) {
    input_.rows = rows_;
    input_.guidance = c.guidance;
    input_.allowed = c.allowed;
    input_.seen = c.seen;
    input_.place = "test";
  }
  const SamplingInput& operator()() const { return input_; }

 private:
  std::vector<std::span<const float>> rows_;
  SamplingInput input_;
};

struct Reference {
  std::vector<int> order;            // allowed tokens that can be drawn, best first
  std::map<int, double> unfiltered;  // before penalty, temperature and filters
  std::map<int, double> filtered;
  // Where a limit falls within rounding of a prefix's probability, that prefix may have a candidate more or
  // fewer.
  bool ambiguous = false;
};

inline std::vector<int> allowed_tokens(const Case& c) {
  std::vector<int> tokens;
  for (const TokenRun& range : c.allowed)
    for (int i = 0; i < range.size; ++i) tokens.push_back(range.first + i);
  if (c.allowed.empty())
    for (std::size_t i = 0; i < c.rows[0].size(); ++i) tokens.push_back(static_cast<int>(i));
  return tokens;
}

inline double guided_score(const Case& c, int token) {
  double score = c.rows[0][token];
  for (std::size_t i = 0; i < c.guidance.size(); ++i)
    score += c.guidance[i] * (static_cast<double>(c.rows[i + 1][token]) - c.rows[i][token]);
  for (const auto& row : c.rows)
    if (row[token] == kNever) return kNever;
  return static_cast<float>(score);
}

inline std::map<int, double> normalised(const std::vector<int>& tokens, std::map<int, double>& score,
                                        double temperature) {
  double peak = kNever, total = 0;
  for (const int token : tokens) peak = std::max(peak, score[token]);
  std::map<int, double> result;
  for (const int token : tokens) total += result[token] = std::exp((score[token] - peak) / temperature);
  for (auto& [token, p] : result) p /= total;
  return result;
}

inline Reference reference(const Case& c) {
  const SamplingSettings& s = c.settings;
  Reference result;
  std::map<int, double> score;
  for (const int token : allowed_tokens(c)) {
    score[token] = guided_score(c, token);
    if (score[token] != kNever) result.order.push_back(token);
  }
  result.unfiltered = normalised(result.order, score, 1);
  for (const int token : std::set<int>(c.seen.begin(), c.seen.end())) {
    if (!score.contains(token)) continue;
    const auto penalty = static_cast<float>(s.repetition_penalty);
    const auto x = static_cast<float>(score[token]);
    score[token] = x > 0 ? x / penalty : x * penalty;
  }
  std::stable_sort(result.order.begin(), result.order.end(),
                   [&](int a, int b) { return score[a] > score[b]; });
  std::vector<int> kept = result.order;
  if (s.temperature == 0) {
    result.filtered[kept[0]] = 1;
    return result;
  }
  if (s.top_k > 0 && s.top_k < static_cast<std::int64_t>(kept.size())) kept.resize(s.top_k);
  constexpr double kRounding = 2e-6;
  if (s.top_p < 1) {
    const auto p = normalised(kept, score, s.temperature);
    double mass = 0;
    std::size_t count = 0;
    while (count < kept.size() && (count == 0 || mass < s.top_p)) {
      mass += p.at(kept[count++]);
      result.ambiguous = result.ambiguous || std::abs(mass - s.top_p) < kRounding;
    }
    kept.resize(count);
  }
  while (s.min_p > 0 && score[kept.back()] - score[kept[0]] < s.temperature * std::log(s.min_p))
    kept.pop_back();
  result.filtered = normalised(kept, score, s.temperature);
  return result;
}

// Rows of different character, each of `count` logits.
enum class RowKind { normal, steps, flat, peaked, infinite };

inline std::vector<float> make_row(RowKind kind, std::size_t count, CounterRng& rng) {
  std::vector<float> row(count);
  for (float& x : row) {
    const double z = rng.normal();
    switch (kind) {
      case RowKind::normal:
        x = static_cast<float>(3 * z);
        break;
      case RowKind::steps:
        x = static_cast<float>(std::round(4 * z) / 4);
        break;  // many ties
      case RowKind::flat:
        x = 0.25f;
        break;
      case RowKind::peaked:
        x = static_cast<float>(z * z * z * 10);
        break;
      case RowKind::infinite:
        x = rng.chance(0.4) ? kNever : static_cast<float>(std::round(z * 2));
        break;
    }
  }
  if (kind == RowKind::infinite) row[rng.below(count)] = 1.5f;
  return row;
}

// Inputs of every shape: guidance, ranges, penalties, infinities, ties, lengths that are multiples of
// nothing.
inline std::vector<Case> all_cases(std::size_t longest) {
  CounterRng rng(11);
  const std::vector<std::pair<std::string, SamplingSettings>> settings = {
      {"plain", {}},
      {"greedy", {.temperature = 0}},
      {"top_k 1", {.top_k = 1}},
      {"top_k", {.temperature = 0.7, .top_k = 40}},
      {"top_p", {.top_p = 0.9}},
      {"top_p tiny", {.top_p = 1e-9}},
      {"min_p", {.temperature = 1.3, .min_p = 0.05}},
      {"min_p 1", {.min_p = 1}},
      {"all", {.temperature = 0.8, .top_k = 50, .top_p = 0.95, .min_p = 0.02, .repetition_penalty = 1.3}},
      {"cold", {.temperature = 1e-6, .top_k = 5, .top_p = 0.9}},
      {"hot", {.temperature = 100, .top_k = 100000, .top_p = 0.5}},
      {"reward repeats", {.top_p = 0.7, .repetition_penalty = 0.8}}};
  std::vector<Case> cases;
  for (const RowKind kind :
       {RowKind::normal, RowKind::steps, RowKind::flat, RowKind::peaked, RowKind::infinite}) {
    for (const std::size_t count : {std::size_t{1}, std::size_t{17}, std::size_t{203}, longest}) {
      for (const auto& [name, setting] : settings) {
        Case c;
        c.name = name + ", kind " + std::to_string(static_cast<int>(kind)) + ", " + std::to_string(count);
        c.rows = {make_row(kind, count, rng)};
        c.settings = setting;
        for (int i = 0; i < 6; ++i) c.seen.push_back(static_cast<std::int32_t>(rng.below(count)));
        c.seen.push_back(-1);
        c.seen.push_back(static_cast<std::int32_t>(count) + 3);
        if (count > 100) {
          // Three conditions over steps, so that guidance is exact in every precision.
          Case guided = c;
          guided.name += ", guided";
          guided.rows.clear();
          for (int i = 0; i < 4; ++i)
            guided.rows.push_back(make_row(i == 2 ? RowKind::infinite : RowKind::steps, count, rng));
          guided.guidance = {2.5, 1, -0.5};
          cases.push_back(guided);
          const auto end = static_cast<std::int32_t>(count);
          c.allowed = {{0, 3}, {7, 0}, {90, end - 100}, {40, 1}, {end - 2, 2}};
          c.name += ", ranges";
          for (const TokenRun& range : c.allowed)
            if (range.size > 0) c.rows[0][range.first] = 0.5f;
        }
        cases.push_back(c);
      }
    }
  }
  Case one;
  one.name = "one token of many";
  one.rows = {make_row(RowKind::normal, 300, rng)};
  one.allowed = {{123, 1}};
  one.settings = {.top_k = 5, .top_p = 0.5, .min_p = 0.1};
  cases.push_back(one);
  return cases;
}

// Cases of one vocabulary and number of conditions together.
inline std::vector<std::vector<Case>> batches_of(const std::vector<Case>& cases) {
  std::map<std::pair<std::size_t, std::size_t>, std::vector<Case>> groups;
  for (const Case& c : cases) groups[{c.rows[0].size(), c.rows.size()}].push_back(c);
  std::vector<std::vector<Case>> result;
  for (auto& [key, group] : groups) result.push_back(std::move(group));
  return result;
}

}  // namespace omni::kernels::sampling_test
