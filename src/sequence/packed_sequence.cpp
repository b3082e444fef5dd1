#include "omni/sequence/packed_sequence.h"

#include <algorithm>

#include "document_tokens.h"
#include "omni/core/error.h"

namespace omni::sequence {
namespace {

std::int32_t index_of_set(std::vector<AllowedTokens>& sets, const AllowedTokens& wanted, std::int32_t guess) {
  if (guess >= 0 && sets[static_cast<std::size_t>(guess)] == wanted) return guess;
  for (std::size_t i = 0; i < sets.size(); ++i) {
    if (sets[i] == wanted) return static_cast<std::int32_t>(i);
  }
  sets.push_back(wanted);
  return static_cast<std::int32_t>(sets.size()) - 1;
}

// The token at `place`, for which `allowed` are the choices, as the target of the position appended last.
void label_last_position(PackedSequence& sequence, const TokenPlace& place, const AllowedTokens& allowed,
                         const Document& document, std::int32_t token) {
  sequence.targets.back() = token;
  sequence.target_modalities.back() = place.modality;
  const std::size_t count = sequence.allowed.size();
  const std::int32_t guess = count >= 2 ? sequence.allowed[count - 2] : -1;
  sequence.allowed.back() = index_of_set(sequence.allowed_sets, allowed, guess);
  // Only payload tokens and </text> are ever a choice, and those lie inside the segment.
  if (token == kAny || allowed.count() <= 1) return;
  const Segment& segment = document.segments[static_cast<std::size_t>(place.segment)];
  if (segment.carries_loss && !segment.dropped) sequence.loss_weights.back() = 1;
}

void append_position(PackedSequence& sequence, const TokenPlace& place, std::int32_t token) {
  sequence.tokens.push_back(token);
  sequence.streams.push_back(place.modality);
  sequence.segments.push_back(place.segment);
  sequence.offsets.push_back(place.offset);
  sequence.rows.push_back(place.row);
  sequence.columns.push_back(place.column);
  sequence.slots.push_back(place.slot);
  sequence.targets.push_back(-1);
  sequence.loss_weights.push_back(0);
  sequence.target_modalities.push_back(place.modality);
  sequence.allowed.push_back(-1);
}

// Of each segment; empty where its tokens are shown.
std::vector<std::vector<float>> features_of(const Document& document, const ConditionFeatures* features) {
  std::vector<std::vector<float>> values(document.segments.size());
  for (std::size_t i = 0; features != nullptr && i < values.size(); ++i) {
    const Segment& segment = document.segments[i];
    const auto* text = std::get_if<TextPayload>(&segment.payload);
    if (text != nullptr && !segment.carries_loss && !segment.dropped)
      values[i] = features->rows(text->tokens);
  }
  return values;
}

}  // namespace

bool append_document(PackedSequence& sequence, const Document& document, const Vocabulary& vocabulary,
                     const SequenceLayout& layout, std::int64_t longest, const ConditionFeatures* features) {
  GrammarWalker walker(vocabulary, layout, plan_of(document));
  const std::vector<std::int32_t> tokens = write_tokens(document, walker.parts(), layout);
  if (static_cast<std::int64_t>(tokens.size()) > longest - sequence.length()) return false;
  std::vector<std::vector<float>> values = features_of(document, features);
  if (sequence.document_starts.empty()) sequence.document_starts.push_back(0);
  for (const std::int32_t token : tokens) {
    const TokenPlace place = walker.place();
    if (token != kBos) label_last_position(sequence, place, walker.allowed(), document, token);
    // They begin behind the opening token, and all stand together.
    if (const auto segment = static_cast<std::size_t>(place.segment);
        place.slot == 1 && !values[segment].empty())
      sequence.features.push_back({sequence.length(), features->input, std::move(values[segment])});
    append_position(sequence, place, token);
    walker.advance(token);
  }
  sequence.document_starts.push_back(sequence.length());
  return true;
}

namespace {

// Documents of <pad> without loss: so many positions of that stream in all.
void append_padding(PackedSequence& sequence, Modality stream, std::int64_t count) {
  constexpr std::int64_t kDocumentRows = 16;
  for (std::int64_t i = 0; i < count; ++i) {
    TokenPlace place;
    place.modality = stream;
    append_position(sequence, place, kPad);
    if (i % kDocumentRows == kDocumentRows - 1 || i + 1 == count)
      sequence.document_starts.push_back(sequence.length());
  }
}

}  // namespace

std::int64_t text_positions(const PackedSequence& sequence) {
  return std::count(sequence.streams.begin(), sequence.streams.end(), Modality::text);
}

void pad_streams(PackedSequence& sequence, std::int64_t multiple, bool every_stream) {
  ensure(multiple > 0, "padding to a multiple of ", multiple);
  const std::int64_t text = text_positions(sequence), generated = sequence.length() - text;
  if (sequence.document_starts.empty()) sequence.document_starts.push_back(0);
  const auto append = [&](Modality modality, std::int64_t present, bool wanted) {
    const std::int64_t count = present == 0 && wanted ? multiple : (multiple - present % multiple) % multiple;
    append_padding(sequence, modality, count);
  };
  append(Modality::text, text, every_stream || generated == 0);
  append(Modality::image, generated, every_stream);
}

void fill_streams(PackedSequence& sequence, std::int64_t text, std::int64_t generated) {
  const std::int64_t own_text = text_positions(sequence), own_generated = sequence.length() - own_text;
  ensure(own_text <= text && own_generated <= generated, "filling ", own_text, " and ", own_generated,
         " positions up to ", text, " and ", generated);
  if (sequence.document_starts.empty()) sequence.document_starts.push_back(0);
  append_padding(sequence, Modality::text, text - own_text);
  append_padding(sequence, Modality::image, generated - own_generated);
}

}  // namespace omni::sequence
