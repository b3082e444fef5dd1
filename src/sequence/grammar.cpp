#include "omni/sequence/grammar.h"

#include "omni/core/error.h"

namespace omni::sequence {
namespace {

AllowedTokens only(std::int32_t token) {
  AllowedTokens allowed;
  allowed.add(token, 1);
  return allowed;
}

// Rows and columns of a square, layers of a cube as well: each layer has an offset of its own.
void place_in_grid(TokenPlace& place, std::int32_t index, std::int32_t side) {
  if (side == 0) return;
  const std::int32_t line = index / side, layer = line / side;
  place.offset += layer - index;
  place.row = line - layer * side;
  place.column = index - line * side;
}

void check_segment(const SegmentPlan& segment, const SegmentParts& parts, const SequenceLayout& layout) {
  const auto need = [&](bool holds, const auto&... what) {
    if (!holds) {
      fail(ErrorKind::usage, "planning a sequence: it has ", modality_name(segment.modality),
           " segment, but ", what..., ". Choose a task that fits the model.");
    }
  };
  for (const SegmentPart& part : parts.of(segment.modality)) {
    if (part.kind == PartKind::control) continue;  // <any> needs no range
    need(part.slots > 0 || part.optional, "the model has no ", part.name, "s");
    need(part.token_count > 0 || part.slots == 0 || segment.dropped, "the vocabulary has no range \"",
         part.range, "\"");
    if (part.length != PartLength::by_detail || segment.geometry_length == 0) continue;
    need(layout.offers_geometry_length(segment.geometry_length), "its number of ", part.name,
         "s is not offered");
  }
}

}  // namespace

GrammarWalker::GrammarWalker(const Vocabulary& vocabulary, const SequenceLayout& layout,
                             std::vector<SegmentPlan> plan)
    : parts_(vocabulary, layout), layout_(&layout), plan_(std::move(plan)) {
  for (const SegmentPlan& segment : plan_) check_segment(segment, parts_, layout);
  enter(Stage::bos);
}

bool GrammarWalker::finished() const { return stage_ == Stage::end; }

const AllowedTokens& GrammarWalker::allowed() const { return allowed_; }

const SegmentPart* GrammarWalker::part() const {
  return stage_ == Stage::payload ? &parts_.all()[part_] : nullptr;
}

std::int32_t GrammarWalker::slot() const {
  switch (stage_) {
    case Stage::payload:
      return part()->first_slot + index_;
    case Stage::drop:
      return 1;
    case Stage::close:
      return parts_.span(plan_[segment_].modality) - 1;
    case Stage::bos:
    case Stage::open:
    case Stage::eos:
    case Stage::end:
      return 0;
  }
  return 0;
}

TokenPlace GrammarWalker::place() const {
  TokenPlace place;
  if (stage_ == Stage::bos) return place;
  const bool inside = segment_ < plan_.size();
  place.modality = inside ? plan_[segment_].modality : Modality::text;
  place.segment = static_cast<std::int32_t>(inside || plan_.empty() ? segment_ : plan_.size() - 1);
  place.slot = slot();
  place.offset = segment_start_ + place.slot;
  if (stage_ == Stage::payload) place_in_grid(place, index_, part()->side);
  return place;
}

AllowedTokens GrammarWalker::detail_choices(const SegmentPart& part) const {
  const std::int64_t wanted = plan_[segment_].geometry_length;
  AllowedTokens allowed;
  for (const std::int64_t length : layout_->geometry_lengths) {
    if (wanted == 0 || wanted == length) allowed.add(part.first_token + detail_bin(length), 1);
  }
  return allowed;
}

AllowedTokens GrammarWalker::allowed_in(const SegmentPart& part) const {
  if (part.kind == PartKind::detail) return detail_choices(part);
  AllowedTokens allowed;
  if (part.kind == PartKind::control) allowed.add(kAny, 1);
  if (part.length == PartLength::until_closing) allowed.add(closing_token(part.modality), 1);
  if (index_ < part.slots) allowed.add(part.first_token, part.token_count);
  return allowed;
}

AllowedTokens GrammarWalker::allowed_at(Stage stage) const {
  switch (stage) {
    case Stage::bos:
      return only(kBos);
    case Stage::open:
      return only(opening_token(plan_[segment_].modality));
    case Stage::payload:
      return allowed_in(*part());
    case Stage::drop:
      return only(kDrop);
    case Stage::close:
      return only(closing_token(plan_[segment_].modality));
    case Stage::eos:
      return only(kEos);
    case Stage::end:
      return {};
  }
  return {};
}

void GrammarWalker::enter(Stage stage) {
  stage_ = stage;
  index_ = 0;
  allowed_ = allowed_at(stage);
}

// The part of that number or the first one after it that the segment has.
void GrammarWalker::enter_part(std::size_t part) {
  const SegmentPlan& segment = plan_[segment_];
  const std::size_t end = parts_.end_of(segment.modality);
  const auto is_absent = [&](const SegmentPart& each) {
    return each.slots == 0 || (each.optional && !segment.with_colour);
  };
  while (part < end && is_absent(parts_.all()[part])) ++part;
  part_ = part;
  enter(part < end ? Stage::payload : Stage::close);
}

void GrammarWalker::enter_next_segment() {
  if (stage_ != Stage::bos) {
    segment_start_ += parts_.span(plan_[segment_].modality);
    ++segment_;
  }
  enter(segment_ < plan_.size() ? Stage::open : Stage::eos);
}

void GrammarWalker::advance_in_part(std::int32_t token) {
  const SegmentPart& part = *this->part();
  ++index_;
  if (part.length == PartLength::until_closing) {
    if (token == closing_token(part.modality)) return enter_next_segment();
    if (index_ == part.slots) allowed_ = allowed_in(part);
    return;
  }
  if (part.kind == PartKind::detail) detailed_ = layout_->geometry_length_of_detail(token - part.first_token);
  if (index_ == (part.length == PartLength::by_detail ? detailed_ : part.slots)) enter_part(part_ + 1);
}

void GrammarWalker::advance(std::int32_t token) {
  if (!allowed_.contains(token)) {
    fail(ErrorKind::internal, "internal error: token ", token, " is not allowed at ", describe_place());
  }
  switch (stage_) {
    case Stage::bos:
    case Stage::close:
      return enter_next_segment();
    case Stage::open:
      return plan_[segment_].dropped ? enter(Stage::drop)
                                     : enter_part(parts_.start_of(plan_[segment_].modality));
    case Stage::payload:
      return advance_in_part(token);
    case Stage::drop:
      return enter(Stage::close);
    case Stage::eos:
      return enter(Stage::end);
    case Stage::end:
      return;
  }
}

std::string GrammarWalker::describe_place() const {
  if (stage_ == Stage::bos) return "the start";
  if (segment_ >= plan_.size()) return "the end";
  int number = 1;
  for (std::size_t i = 0; i < segment_; ++i) number += plan_[i].modality == plan_[segment_].modality ? 1 : 0;
  const std::string segment = concat(modality_name(plan_[segment_].modality), " ", number, ": ");
  if (stage_ == Stage::open) return segment + "opening token";
  if (stage_ == Stage::drop) return segment + "<drop>";
  if (stage_ == Stage::close) return segment + "closing token";
  const SegmentPart& part = *this->part();
  const bool counted = part.kind == PartKind::codes || part.slots > 1;
  return counted ? concat(segment, part.name, " ", index_) : concat(segment, part.name);
}

std::int64_t choice_bound(const SegmentPlan& segment, const Vocabulary& vocabulary,
                          const SequenceLayout& layout) {
  std::int64_t bound = 0;
  const SegmentParts parts(vocabulary, layout);
  for (const SegmentPart& part : parts.of(segment.modality)) {
    if (segment.dropped || (part.optional && !segment.with_colour)) continue;
    if (part.kind == PartKind::detail) {
      bound += segment.geometry_length == 0 && layout.geometry_lengths.size() > 1 ? 1 : 0;
    } else if (part.length == PartLength::by_detail && segment.geometry_length > 0) {
      bound += segment.geometry_length;
    } else {
      bound += part.slots;
    }
  }
  return bound;
}

}  // namespace omni::sequence
