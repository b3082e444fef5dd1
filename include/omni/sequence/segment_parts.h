#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "omni/sequence/document.h"
#include "omni/sequence/layout.h"
#include "omni/sequence/vocabulary.h"

namespace omni::sequence {

enum class PartKind : std::uint8_t {
  control,  // a bin, or <any>
  detail,   // tells how many codes the part after it has
  codes,    // of a tokenizer
};

enum class PartLength : std::uint8_t {
  whole,          // every slot is filled
  by_detail,      // as many slots as the detail token before says
  until_closing,  // any number of slots; the closing token takes the one after the last that is filled
};

// The member of a payload that holds a part; std::monostate where it follows from another part.
using PartField = std::variant<
    std::monostate, std::vector<std::int32_t> TextPayload::*, std::optional<std::int32_t> ImagePayload::*,
    std::vector<std::int32_t> ImagePayload::*, std::optional<std::int32_t> ShapePayload::*,
    std::array<std::optional<std::int32_t>, 3> ShapePayload::*, std::vector<std::int32_t> ShapePayload::*>;

// A run of places in a segment that hold the same kind of token.
struct SegmentPart {
  Modality modality = Modality::text;
  std::string_view name;   // of one token, in messages
  std::string_view range;  // of the vocabulary
  PartKind kind = PartKind::codes;
  PartField field;
  std::int32_t slots = 0;  // kept for it in the segment's span; 0: the layout has no such part
  PartLength length = PartLength::whole;
  bool optional = false;  // may be left out of a segment; its slots stay empty
  std::int32_t side = 0;  // of the square or cube that its codes form; 0: a plain sequence

  // What follows from the parts before and from the vocabulary.
  std::int32_t first_slot = 0;
  std::int32_t first_token = 0, token_count = 0;  // the range's ids; count 0: the vocabulary lacks the range
};

// What the payload of a segment stands between.
constexpr std::int32_t opening_token(Modality modality) {
  return kTextBegin + 2 * static_cast<std::int32_t>(modality);
}
constexpr std::int32_t closing_token(Modality modality) { return opening_token(modality) + 1; }
static_assert(opening_token(Modality::image) == kImageBegin && closing_token(Modality::image) == kImageEnd &&
              opening_token(Modality::shape) == kShapeBegin && closing_token(Modality::shape) == kShapeEnd &&
              closing_token(Modality::text) == kTextEnd);

// What a segment consists of, for one vocabulary and layout: the one description that grammar, writing,
// reading, counts and slots of trained models follow. A segment spans its opening token (slot 0), the slots
// of its parts in order and one slot for the closing token, whether they are used or not, so that a dropped
// or short segment moves no later position. A dropped one has <drop> in slot 1.
class SegmentParts {
 public:
  // Keeps neither. A vocabulary may lack ranges here; check_layout() and GrammarWalker refuse it where they
  // need them.
  SegmentParts(const Vocabulary& vocabulary, const SequenceLayout& layout);

  std::span<const SegmentPart> all() const& { return parts_; }  // modality by modality
  std::span<const SegmentPart> all() const&& = delete;
  std::span<const SegmentPart> of(Modality modality) const& {
    return all().subspan(start_of(modality), end_of(modality) - start_of(modality));
  }
  std::span<const SegmentPart> of(Modality modality) const&& = delete;
  // Where the parts of a modality start and end in all().
  std::size_t start_of(Modality modality) const { return starts_[static_cast<std::size_t>(modality)]; }
  std::size_t end_of(Modality modality) const { return starts_[static_cast<std::size_t>(modality) + 1]; }
  // The slot of a control; throws Error(internal) where the modality has none of that range.
  std::int32_t slot_of(Modality modality, std::string_view range) const;

  std::int32_t span(Modality modality) const { return spans_[static_cast<std::size_t>(modality)]; }
  // Positions of a whole document of these modalities at full length, with <bos> and <eos>.
  std::int64_t document_capacity(std::span<const Modality> modalities) const;

 private:
  std::vector<SegmentPart> parts_;
  std::array<std::size_t, kModalityCount + 1> starts_{};  // of each modality in parts_, and the end
  std::array<std::int32_t, kModalityCount> spans_{};
};

// The names of the ranges that parts take their tokens from.
std::vector<std::string> part_range_names();

}  // namespace omni::sequence
