#pragma once

#include <vector>

#include "omni/generation/document_decoder.h"
#include "omni/model/decode_session.h"
#include "omni/sequence/grammar.h"

namespace omni::generation {

// The sequences behind one requested document: the one that is sampled, and those that guidance compares it
// with.

// One sequence on its way from <bos> to <eos>. Tokens of conditions and tokens without a choice are laid down
// by advance_to_choice(); choose() adds a sampled one.
class DocumentRow {
 public:
  // The first `kept_conditions` conditions are shown, later ones dropped.
  DocumentRow(const sequence::Vocabulary& vocabulary, const sequence::SequenceLayout& layout,
              const std::vector<SegmentRequest>& segments, std::int64_t kept_conditions);

  // Returns whether there is a choice to make; false: the document is finished.
  bool advance_to_choice();
  // What may be chosen: the grammar's tokens but for <any>, which no model learns to say.
  const sequence::AllowedTokens& choices() const { return choices_; }
  void choose(std::int32_t token) { lay_down(token); }
  std::int64_t settled_choices() const;  // see TokenProgram
  std::string describe_place() const { return walker_.describe_place(); }

  const std::vector<std::int32_t>& tokens() const { return tokens_; }
  const std::vector<sequence::SegmentPlan>& plan() const { return plan_; }
  // Tokens that the model has not seen; the list is then empty.
  std::vector<model::DecodeToken> take_unseen();

 private:
  void lay_down(std::int32_t token);
  std::optional<std::int32_t> fixed_token(const sequence::GrammarWalker& walker) const;
  std::optional<std::int32_t> known_token();
  // What the token that comes next is embedded from, if not from itself.
  at::Tensor embedded_at(const sequence::TokenPlace& place) const;

  std::vector<sequence::SegmentPlan> plan_;
  const std::vector<SegmentRequest>* segments_;
  std::vector<std::vector<std::int32_t>> given_;  // by segment: its tokens, opening to closing
  std::vector<std::size_t> given_used_;
  sequence::GrammarWalker walker_;
  sequence::AllowedTokens choices_;
  std::vector<std::int32_t> tokens_;
  std::vector<model::DecodeToken> unseen_;
};

// What is fixed of a segment that is generated.
sequence::SegmentPlan generated_plan(const SegmentRequest& segment);

// The conditions of a request that are shown at all.
std::int64_t shown_condition_count(const std::vector<SegmentRequest>& segments);

}  // namespace omni::generation
