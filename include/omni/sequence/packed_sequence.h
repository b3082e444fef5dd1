#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <vector>

#include "omni/sequence/grammar.h"

namespace omni::sequence {

// Positions that a model embeds from vectors, of a frozen encoder say, in place of their tokens.
struct FeatureRows {
  std::int64_t first = 0;     // position of the first of them
  std::int32_t input = 0;     // which of the model's inputs of features projects them
  std::vector<float> values;  // [positions, width of that input]

  friend bool operator==(const FeatureRows&, const FeatureRows&) = default;
};

// The one structure between data, model and kernels: documents laid end to end, which never see each other.
// All vectors have one entry per position unless said. Attention is causal inside a document.
struct PackedSequence {
  std::vector<std::int32_t> tokens;
  std::vector<Modality> streams;       // by modality, never by role
  std::vector<std::int32_t> segments;  // index of the segment inside its document
  std::vector<std::int32_t> offsets, rows, columns;
  std::vector<std::int32_t> slots;            // place inside the segment's span
  std::vector<std::int32_t> targets;          // the token that follows; -1 at the end of a document
  std::vector<float> loss_weights;            // 0 where the target carries no loss
  std::vector<Modality> target_modalities;    // under whose loss the target counts
  std::vector<std::int32_t> allowed;          // index into allowed_sets of the target's choices; -1 at ends
  std::vector<AllowedTokens> allowed_sets;    // distinct sets, shared by all positions
  std::vector<std::int64_t> document_starts;  // one per document, plus the total length at the end
  std::vector<std::int32_t> document_tasks;   // one per document, the caller's numbers; empty: not told
  std::vector<FeatureRows> features;          // of some positions; none overlap

  std::int64_t length() const { return static_cast<std::int64_t>(tokens.size()); }
  std::int64_t document_count() const {
    return document_starts.empty() ? 0 : static_cast<std::int64_t>(document_starts.size()) - 1;
  }
  friend bool operator==(const PackedSequence&, const PackedSequence&) = default;
};

// What texts that are conditions are embedded from in place of their tokens: a frozen encoder's rows of a text's tokens and,
// after them, of its end, which take the places of the tokens and of </text>.
struct ConditionFeatures {
  std::int32_t input = 0;  // see FeatureRows
  // [tokens + 1, width of that input]; from any thread.
  std::function<std::vector<float>(const std::vector<std::int32_t>& tokens)> rows;
};

// Appends a document, unless the sequence would become longer than `longest`; returns whether. A target has
// loss weight 1 where its segment carries loss and is not dropped, the grammar leaves a choice, and the
// target is not <any>; the </text> that ends a text counts. Opening and closing tokens, <bos> and <eos> are
// never a choice. `features`, if there are any: of texts without loss that are not dropped. Throws like document_tokens,
// and what `features` throws, and leaves the sequence as it was.
bool append_document(PackedSequence& sequence, const Document& document, const Vocabulary& vocabulary,
                     const SequenceLayout& layout,
                     std::int64_t longest = std::numeric_limits<std::int64_t>::max(),
                     const ConditionFeatures* features = nullptr);

// Appends short documents of <pad> without loss until the text positions and the generated ones (image and
// shape) are each a multiple of `multiple` in number; there are some afterwards, and of each stream with
// `every_stream`. Matmuls are compiled per shape: few shapes, few compilations.
void pad_streams(PackedSequence& sequence, std::int64_t multiple, bool every_stream = false);
// The same, until there are so many text positions and generated ones, of neither of which there may be more.
void fill_streams(PackedSequence& sequence, std::int64_t text, std::int64_t generated);
std::int64_t text_positions(const PackedSequence& sequence);

}  // namespace omni::sequence
