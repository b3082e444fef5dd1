#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "omni/core/token_run.h"
#include "omni/sequence/document.h"
#include "omni/sequence/layout.h"
#include "omni/sequence/segment_parts.h"
#include "omni/sequence/vocabulary.h"

namespace omni::sequence {

// What may stand at a position: runs of token ids, ascending and disjoint.
struct AllowedTokens {
  std::array<TokenRun, kMaximumTokenRuns> runs{};
  int run_count = 0;

  bool contains(std::int32_t token) const;
  std::int32_t count() const;
  std::int32_t token(std::int32_t index) const;     // the index-th allowed token, 0 <= index < count()
  std::int32_t index_of(std::int32_t token) const;  // the inverse of token(); -1 where it is not allowed
  void add(std::int32_t first, std::int32_t size);  // above what is there; joins a run that it touches
  friend bool operator==(const AllowedTokens& a, const AllowedTokens& b) {
    return std::equal(a.runs.begin(), a.runs.begin() + a.run_count, b.runs.begin(),
                      b.runs.begin() + b.run_count);
  }
};

// Where the next token stands. `offset` counts along the document in units that dropping does not change; row
// and column are 0 except inside images (offset of the image's first code, row, column) and code cubes
// (offset grows by z layer, row is y, column is x).
struct TokenPlace {
  Modality modality = Modality::text;  // of the segment; <bos> and <eos> count as text
  std::int32_t segment = 0;            // index in the document; <bos> is in segment 0
  std::int32_t offset = 0, row = 0, column = 0;
  std::int32_t slot = 0;  // place inside the segment's span: 0 is the opening token
};

// What is fixed of one segment of a document before its payload is known. SegmentParts tells where its tokens
// stand.
struct SegmentPlan {
  Modality modality = Modality::text;
  bool dropped = false;
  std::int64_t geometry_length = 0;  // shapes: the number of codes; 0 leaves it to the detail token
  bool with_colour = true;           // shapes, where the layout has colour codes
};

// Walks a document token by token. The same automaton labels training sequences and constrains sampling, so
// an ill-formed sequence can be neither trained on nor sampled.
class GrammarWalker {
 public:
  // The layout must outlive the walker. Throws Error(usage) where the plan needs something that vocabulary
  // and layout do not have: images, shapes, a geometry length that is not offered.
  GrammarWalker(const Vocabulary& vocabulary, const SequenceLayout& layout, std::vector<SegmentPlan> plan);

  bool finished() const;                 // <eos> has been passed
  TokenPlace place() const;              // of the token that comes next
  const AllowedTokens& allowed() const;  // for the token that comes next; never empty unless finished
  void advance(std::int32_t token);      // throws Error(internal) for a token that is not allowed
  // The segment whose payload comes next and the part of it, for error messages: "shape 1: geometry code 17".
  std::string describe_place() const;

  // The part of the payload that the next token belongs to, and its place there; null where the token belongs
  // to no payload: <bos>, <eos>, opening and closing tokens and <drop>. A text's part also has its </text>.
  const SegmentPart* part() const;
  std::int32_t index_in_part() const { return index_; }
  const SegmentParts& parts() const { return parts_; }

 private:
  enum class Stage : std::uint8_t { bos, open, payload, drop, close, eos, end };
  void enter(Stage stage);
  void enter_part(std::size_t part);
  void enter_next_segment();
  void advance_in_part(std::int32_t token);
  AllowedTokens allowed_at(Stage stage) const;
  AllowedTokens allowed_in(const SegmentPart& part) const;
  AllowedTokens detail_choices(const SegmentPart& part) const;
  std::int32_t slot() const;

  SegmentParts parts_;
  const SequenceLayout* layout_;
  std::vector<SegmentPlan> plan_;
  std::size_t segment_ = 0;
  std::int32_t segment_start_ = 1;  // offset of the segment's opening token
  Stage stage_ = Stage::bos;
  std::size_t part_ = 0;       // in parts_.all(), in Stage::payload
  std::int32_t index_ = 0;     // inside the part
  std::int64_t detailed_ = 0;  // the number of codes that the last detail token tells
  AllowedTokens allowed_;
};

// The most tokens of such a segment that leave a choice.
std::int64_t choice_bound(const SegmentPlan& segment, const Vocabulary& vocabulary,
                          const SequenceLayout& layout);

// The tokens of a document in the vocabulary's numbering, <bos> to <eos>. Throws Error(input) where a payload
// does not fit the layout (too long a text, a wrong number of codes, a code outside its range).
std::vector<std::int32_t> document_tokens(const Document& document, const Vocabulary& vocabulary,
                                          const SequenceLayout& layout);
std::vector<SegmentPlan> plan_of(const Document& document);
// The payloads of a finished token sequence. Throws Error(input) for an ill-formed one.
Document parse_document(std::span<const std::int32_t> tokens, std::vector<SegmentPlan> plan,
                        const Vocabulary& vocabulary, const SequenceLayout& layout);

}  // namespace omni::sequence
