#include "document_rows.h"

#include <utility>

#include "omni/core/error.h"

namespace omni::generation {
namespace {

using sequence::AllowedTokens;
using sequence::Segment;
using sequence::SegmentPart;
using sequence::SegmentPlan;

AllowedTokens without_any(const AllowedTokens& allowed) {
  AllowedTokens rest;
  for (int i = 0; i < allowed.run_count; ++i) {
    const TokenRun run = allowed.runs[static_cast<std::size_t>(i)];
    if (run.first == sequence::kAny && run.size == 1) continue;
    rest.add(run.first, run.size);
  }
  return rest.run_count > 0 ? rest : allowed;
}

std::vector<SegmentPlan> plan_rows(const std::vector<SegmentRequest>& segments,
                                   std::int64_t kept_conditions) {
  std::vector<SegmentPlan> plan;
  std::int64_t condition = 0;
  for (const SegmentRequest& segment : segments) {
    SegmentPlan entry = generated_plan(segment);
    if (segment.given) {
      entry = sequence::plan_of({{*segment.given}}).front();
      if (!entry.dropped) entry.dropped = condition++ >= kept_conditions;
    }
    plan.push_back(entry);
  }
  return plan;
}

// The tokens of a condition without the <bos> and <eos> around a document.
std::vector<std::int32_t> condition_tokens(Segment segment, bool dropped,
                                           const sequence::Vocabulary& vocabulary,
                                           const sequence::SequenceLayout& layout) {
  segment.dropped = dropped;
  std::vector<std::int32_t> tokens = sequence::document_tokens({{std::move(segment)}}, vocabulary, layout);
  return {tokens.begin() + 1, tokens.end() - 1};
}

}  // namespace

SegmentPlan generated_plan(const SegmentRequest& segment) {
  return {.modality = segment.modality,
          .geometry_length = segment.geometry_length,
          .with_colour = segment.with_colour};
}

std::int64_t shown_condition_count(const std::vector<SegmentRequest>& segments) {
  std::int64_t count = 0;
  for (const SegmentRequest& segment : segments) count += segment.given && !segment.given->dropped ? 1 : 0;
  return count;
}

DocumentRow::DocumentRow(const sequence::Vocabulary& vocabulary, const sequence::SequenceLayout& layout,
                         const std::vector<SegmentRequest>& segments, std::int64_t kept_conditions)
    : plan_(plan_rows(segments, kept_conditions)),
      segments_(&segments),
      given_(segments.size()),
      given_used_(segments.size(), 0),
      walker_(vocabulary, layout, plan_) {
  for (std::size_t i = 0; i < segments.size(); ++i) {
    if (!segments[i].given) continue;
    given_[i] = condition_tokens(*segments[i].given, plan_[i].dropped, vocabulary, layout);
  }
}

std::optional<std::int32_t> DocumentRow::fixed_token(const sequence::GrammarWalker& walker) const {
  const sequence::TokenPlace place = walker.place();
  for (const auto& [slot, token] : (*segments_)[static_cast<std::size_t>(place.segment)].fixed_tokens)
    if (slot == place.slot && walker.allowed().contains(token)) return token;
  return std::nullopt;
}

// The codes of a part whose length is known; every other choice changes what comes after it.
std::int64_t DocumentRow::settled_choices() const {
  const SegmentPart* part = walker_.part();
  const bool settled = part != nullptr && part->kind == sequence::PartKind::codes &&
                       part->length != sequence::PartLength::until_closing;
  if (!settled) return 1;
  sequence::GrammarWalker ahead = walker_;
  const SegmentPart* own = ahead.part();
  std::int64_t count = 0;
  do {
    ahead.advance(choices_.token(0));
    ++count;
  } while (ahead.part() == own && !fixed_token(ahead));
  return count;
}

// The token that comes next where there is nothing to choose.
std::optional<std::int32_t> DocumentRow::known_token() {
  const AllowedTokens& allowed = walker_.allowed();
  const bool at_border =
      allowed.count() == 1 && (allowed.token(0) == sequence::kBos || allowed.token(0) == sequence::kEos);
  if (at_border) return allowed.token(0);
  const sequence::TokenPlace place = walker_.place();
  const auto segment = static_cast<std::size_t>(place.segment);
  if ((*segments_)[segment].given) return given_[segment].at(given_used_[segment]++);
  if (const std::optional<std::int32_t> fixed = fixed_token(walker_)) return fixed;
  choices_ = without_any(allowed);
  if (choices_.count() == 1) return choices_.token(0);
  return std::nullopt;
}

bool DocumentRow::advance_to_choice() {
  while (!walker_.finished()) {
    const std::optional<std::int32_t> token = known_token();
    if (!token) return true;
    lay_down(*token);
  }
  return false;
}

// The opening token, <bos> and <eos> have slot 0; a text's features begin behind it.
at::Tensor DocumentRow::embedded_at(const sequence::TokenPlace& place) const {
  const auto segment = static_cast<std::size_t>(place.segment);
  if (place.slot == 0 || segment >= plan_.size() || plan_[segment].dropped) return {};
  const at::Tensor& features = (*segments_)[segment].features;
  return features.defined() ? features[place.slot - 1] : at::Tensor();
}

void DocumentRow::lay_down(std::int32_t token) {
  model::DecodeToken entry{.token = token, .place = walker_.place(), .next_place = std::nullopt};
  entry.embedded = embedded_at(entry.place);
  walker_.advance(token);
  if (!walker_.finished()) entry.next_place = walker_.place();
  tokens_.push_back(token);
  unseen_.push_back(entry);
}

std::vector<model::DecodeToken> DocumentRow::take_unseen() { return std::exchange(unseen_, {}); }

}  // namespace omni::generation
