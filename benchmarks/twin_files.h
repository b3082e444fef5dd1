#pragma once

#include <filesystem>
#include <vector>

#include "omni/core/error.h"
#include "omni/kernels/tensor.h"
#include "omni/nn/parameters.h"
#include "omni/sequence/packed_sequence.h"
#include "omni/sequence/segment_parts.h"

namespace omni::benchmarks {

// What peers/train_step.py reads, so that it trains on the same documents from the same weights.

// One int64 tensor per array: tokens, slots, next_slots and offsets of every position, document_starts; for
// each target its position, its token and the set of tokens that compete; of each set a row of runs, each its
// first token and the one after its last.
inline void write_twin_batch(const std::filesystem::path& path, const sequence::PackedSequence& sequence,
                             const sequence::SegmentParts& parts) {
  std::vector<std::int64_t> slots, next_slots, positions, targets, sets, runs;
  std::int64_t first_slot[sequence::kModalityCount], slot_count = 0;
  for (const sequence::Modality modality : sequence::kModalities) {
    first_slot[static_cast<std::size_t>(modality)] = slot_count;
    slot_count += parts.span(modality);
  }
  for (std::int64_t i = 0; i < sequence.length(); ++i) {
    slots.push_back(first_slot[static_cast<std::size_t>(sequence.streams[i])] + sequence.slots[i]);
    if (sequence.loss_weights[i] <= 0) continue;
    ensure(sequence.loss_weights[i] == 1, "the twin knows one weight");
    positions.push_back(i);
    targets.push_back(sequence.targets[i]);
    sets.push_back(sequence.allowed[i]);
  }
  for (const sequence::AllowedTokens& allowed : sequence.allowed_sets)
    for (const TokenRun& run : allowed.runs) {
      runs.push_back(run.first);
      runs.push_back(run.first + run.size);
    }
  for (std::int64_t d = 0; d < sequence.document_count(); ++d)
    for (std::int64_t i = sequence.document_starts[d] + 1; i <= sequence.document_starts[d + 1]; ++i)
      next_slots.push_back(i < sequence.document_starts[d + 1] ? slots[i] : slot_count);
  nn::NamedTensors arrays;
  const auto add = [&](const char* name, const auto& values) {
    const std::vector<std::int64_t> wide(values.begin(), values.end());
    arrays.emplace_back(name, at::tensor(wide, at::kLong));
  };
  add("tokens", sequence.tokens);
  add("slots", slots);
  add("next_slots", next_slots);
  add("offsets", sequence.offsets);
  add("document_starts", sequence.document_starts);
  add("positions", positions);
  add("targets", targets);
  add("sets", sets);
  add("runs", runs);
  nn::write_tensors(path, arrays);
}

}  // namespace omni::benchmarks
