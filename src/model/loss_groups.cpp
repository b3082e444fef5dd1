#include "loss_groups.h"

#include <algorithm>
#include <map>
#include <utility>

#include "omni/core/error.h"

namespace omni::model {
namespace {

std::vector<kernels::ClassRun> class_runs(const Transformer::Network& network,
                                          const sequence::AllowedTokens& allowed) {
  std::vector<kernels::ClassRun> runs;
  for (int r = 0; r < allowed.run_count; ++r) {
    const std::int64_t end = allowed.runs[r].first + allowed.runs[r].size;
    for (std::int64_t first = allowed.runs[r].first; first < end; first += runs.back().size) {
      kernels::ClassRun run{.first = first, .size = end - first};
      for (std::size_t c = 0; c < network.code_ranges.size() && !network.head.defined(); ++c) {
        const sequence::TokenRange& range = network.code_ranges[c].range;
        if (range.first > first) run.size = std::min<std::int64_t>(run.size, range.first - first);
        if (!range.contains(static_cast<std::int32_t>(first))) continue;
        run.size = std::min<std::int64_t>(run.size, range.first + range.size - first);
        run.codebook = static_cast<std::int64_t>(c);
        run.first_code = first - range.first;
      }
      runs.push_back(run);
    }
  }
  return runs;
}

}  // namespace

GroupRows::GroupRows(const Transformer::Network& network, std::size_t given_modality,
                     const sequence::AllowedTokens& given_allowed)
    : modality(given_modality),
      allowed(given_allowed),
      runs(class_runs(network, allowed)),
      columns(kernels::class_columns(runs)) {}

std::int32_t GroupRows::column_of(std::int32_t token) const {
  for (std::size_t r = 0; r < runs.size(); ++r)
    if (token >= runs[r].first && token < runs[r].first + runs[r].size)
      return static_cast<std::int32_t>(columns[r] + token - runs[r].first);
  return -1;
}

std::vector<GroupRows> loss_groups(const Transformer::Network& network,
                                   const sequence::PackedSequence& sequence) {
  std::map<std::pair<std::int32_t, std::size_t>, GroupRows> groups;  // by allowed set and modality
  for (std::int64_t i = 0; i < sequence.length(); ++i) {
    if (sequence.loss_weights[i] <= 0) continue;
    const auto modality = static_cast<std::size_t>(sequence.target_modalities[i]);
    const std::int32_t allowed = sequence.allowed[i];
    ensure(allowed >= 0 && modality < sequence::kModalityCount, "a loss at the end of a document");
    if (network.config.drops_text() && sequence.streams[i] == sequence::Modality::text)
      fail(ErrorKind::usage,
           "training: a text position carries loss, but single_over: generated leaves text without output");
    GroupRows& group =
        groups.try_emplace({allowed, modality}, network, modality, sequence.allowed_sets[allowed])
            .first->second;
    group.positions.push_back(i);
    group.targets.push_back(group.column_of(sequence.targets[i]));
    ensure(group.targets.back() >= 0, "target ", sequence.targets[i],
           " is not allowed by the grammar at position ", i);
  }
  std::vector<GroupRows> result;
  for (auto& [key, group] : groups) result.push_back(std::move(group));
  return result;
}

void allow_everything(sequence::PackedSequence& sequence, std::int32_t vocabulary_size) {
  sequence::AllowedTokens all;
  all.add(0, vocabulary_size);
  sequence.allowed_sets = {all};
  for (std::int32_t& allowed : sequence.allowed) allowed = allowed < 0 ? allowed : 0;
}

}  // namespace omni::model
