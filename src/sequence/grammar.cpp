#include "omni/sequence/grammar.h"

#include "omni/core/error.h"

namespace omni::sequence {
namespace {

constexpr std::int32_t kFirstImageSlot = 3, kFirstGeometrySlot = 6;

std::int32_t opening_of(Modality modality) { return kTextBegin + 2 * static_cast<std::int32_t>(modality); }
std::int32_t closing_of(Modality modality) { return opening_of(modality) + 1; }
static_assert(kImageBegin == kTextBegin + 2 && kShapeBegin == kTextBegin + 4 && kTextEnd == kTextBegin + 1 &&
              kImageEnd == kImageBegin + 1 && kShapeEnd == kShapeBegin + 1);

AllowedTokens only(std::int32_t token) {
  AllowedTokens allowed;
  allowed.add(token, 1);
  return allowed;
}

AllowedTokens whole(const TokenRange& range) {
  AllowedTokens allowed;
  allowed.add(range.first, range.size);
  return allowed;
}

void place_in_cube(TokenPlace& place, std::int64_t index, std::int64_t side) {
  if (side == 0) return;
  place.offset += static_cast<std::int32_t>(index / (side * side) - index);
  place.row = static_cast<std::int32_t>(index / side % side);
  place.column = static_cast<std::int32_t>(index % side);
}

void check_segment(const SegmentPlan& segment, const Vocabulary& vocabulary, const SequenceLayout& layout) {
  const auto need = [&](bool holds, std::string_view what) {
    if (!holds) {
      fail(ErrorKind::usage, "planning a sequence: it has ", modality_name(segment.modality),
           " segment, but ", what, ". Choose a task that fits the model.");
    }
  };
  switch (segment.modality) {
    case Modality::text:
      return need(segment.dropped || vocabulary.has(kRangeText), "the vocabulary has no text tokens");
    case Modality::image:
      return need(layout.image_grid_side > 0 && vocabulary.has(kRangeImage), "the model has no image codes");
    case Modality::shape:
      need(!layout.geometry_lengths.empty() && vocabulary.has(kRangeGeometry),
           "the model has no geometry codes");
      need(layout.colour_codes == 0 || vocabulary.has(kRangeColour), "the vocabulary has no colour codes");
      bool offered = segment.geometry_length == 0;
      for (const std::int64_t length : layout.geometry_lengths)
        offered = offered || length == segment.geometry_length;
      need(offered, "its number of geometry codes is not offered");
  }
}

}  // namespace

GrammarWalker::GrammarWalker(const Vocabulary& vocabulary, const SequenceLayout& layout,
                             std::vector<SegmentPlan> plan)
    : vocabulary_(&vocabulary), layout_(&layout), plan_(std::move(plan)) {
  for (const SegmentPlan& segment : plan_) check_segment(segment, vocabulary, layout);
  enter(Part::bos);
}

bool GrammarWalker::finished() const { return part_ == Part::end; }

const AllowedTokens& GrammarWalker::allowed() const { return allowed_; }

std::int32_t GrammarWalker::slot() const {
  const auto index = static_cast<std::int32_t>(index_);
  switch (part_) {
    case Part::bos:
    case Part::open:
    case Part::eos:
    case Part::end:
      return 0;
    case Part::drop:
    case Part::azimuth:
    case Part::size:
      return 1;
    case Part::text:
      return 1 + index;
    case Part::elevation:
      return 2;
    case Part::image:
      return kFirstImageSlot + index;
    case Part::box:
      return 2 + index;
    case Part::detail:
      return 5;
    case Part::geometry:
      return kFirstGeometrySlot + index;
    case Part::colour:
      return kFirstGeometrySlot + static_cast<std::int32_t>(layout_->geometry_capacity()) + index;
    case Part::close:
      return static_cast<std::int32_t>(layout_->span(plan_[segment_].modality)) - 1;
  }
  return 0;
}

TokenPlace GrammarWalker::place() const {
  TokenPlace place;
  if (part_ == Part::bos) return place;
  const bool inside = segment_ < plan_.size();
  place.modality = inside ? plan_[segment_].modality : Modality::text;
  place.segment = static_cast<std::int32_t>(inside || plan_.empty() ? segment_ : plan_.size() - 1);
  place.slot = slot();
  place.offset = segment_start_ + place.slot;
  if (part_ == Part::image) {
    place.offset = segment_start_ + kFirstImageSlot;
    place.row = static_cast<std::int32_t>(index_ / layout_->image_grid_side);
    place.column = static_cast<std::int32_t>(index_ % layout_->image_grid_side);
  } else if (part_ == Part::geometry) {
    place_in_cube(place, index_, layout_->geometry_grid_side);
  } else if (part_ == Part::colour) {
    place_in_cube(place, index_, layout_->colour_grid_side);
  }
  return place;
}

AllowedTokens GrammarWalker::range_with_any(std::string_view range) const {
  AllowedTokens allowed = only(kAny);
  if (vocabulary_->has(range)) allowed.add(vocabulary_->range(range).first, vocabulary_->range(range).size);
  return allowed;
}

AllowedTokens GrammarWalker::detail_choices() const {
  const std::int32_t first = vocabulary_->range(kRangeDetail).first;
  const std::int64_t wanted = plan_[segment_].geometry_length;
  AllowedTokens allowed;
  for (const std::int64_t length : layout_->geometry_lengths) {
    if (wanted == 0 || wanted == length) allowed.add(first + detail_bin(length), 1);
  }
  return allowed;
}

AllowedTokens GrammarWalker::allowed_in(Part part) const {
  switch (part) {
    case Part::bos:
      return only(kBos);
    case Part::open:
      return only(opening_of(plan_[segment_].modality));
    case Part::text: {
      AllowedTokens allowed = only(kTextEnd);
      if (index_ < layout_->text_capacity) {
        const TokenRange& text = vocabulary_->range(kRangeText);
        allowed.add(text.first, text.size);
      }
      return allowed;
    }
    case Part::azimuth:
      return range_with_any(kRangeAzimuth);
    case Part::elevation:
      return range_with_any(kRangeElevation);
    case Part::image:
      return whole(vocabulary_->range(kRangeImage));
    case Part::size:
      return range_with_any(kRangeSize);
    case Part::box:
      return range_with_any(kRangeBox);
    case Part::detail:
      return detail_choices();
    case Part::geometry:
      return whole(vocabulary_->range(kRangeGeometry));
    case Part::colour:
      return whole(vocabulary_->range(kRangeColour));
    case Part::drop:
      return only(kDrop);
    case Part::close:
      return only(closing_of(plan_[segment_].modality));
    case Part::eos:
      return only(kEos);
    case Part::end:
      return {};
  }
  return {};
}

void GrammarWalker::enter(Part part) {
  part_ = part;
  index_ = 0;
  allowed_ = allowed_in(part);
}

void GrammarWalker::enter_payload() {
  const SegmentPlan& segment = plan_[segment_];
  if (segment.dropped) return enter(Part::drop);
  switch (segment.modality) {
    case Modality::text:
      return enter(Part::text);
    case Modality::image:
      return enter(Part::azimuth);
    case Modality::shape:
      return enter(Part::size);
  }
}

void GrammarWalker::enter_next_segment() {
  if (part_ != Part::bos) {
    segment_start_ += static_cast<std::int32_t>(layout_->span(plan_[segment_].modality));
    ++segment_;
  }
  enter(segment_ < plan_.size() ? Part::open : Part::eos);
}

void GrammarWalker::advance(std::int32_t token) {
  if (!allowed_.contains(token)) {
    fail(ErrorKind::internal, "internal error: token ", token, " is not allowed at ", describe_place());
  }
  switch (part_) {
    case Part::bos:
    case Part::close:
      return enter_next_segment();
    case Part::open:
      return enter_payload();
    case Part::text:
      if (token == kTextEnd) return enter_next_segment();
      if (++index_ == layout_->text_capacity) allowed_ = allowed_in(Part::text);
      return;
    case Part::azimuth:
      return enter(Part::elevation);
    case Part::elevation:
      return enter(Part::image);
    case Part::size:
      return enter(Part::box);
    case Part::box:
      if (++index_ == 3) enter(Part::detail);
      return;
    case Part::detail:
      geometry_length_ = layout_->geometry_length_of_detail(token - vocabulary_->range(kRangeDetail).first);
      return enter(Part::geometry);
    case Part::geometry:
      if (++index_ < geometry_length_) return;
      return enter(layout_->colour_codes > 0 && plan_[segment_].with_colour ? Part::colour : Part::close);
    case Part::image:
      if (++index_ == layout_->image_codes()) enter(Part::close);
      return;
    case Part::colour:
      if (++index_ == layout_->colour_codes) enter(Part::close);
      return;
    case Part::drop:
      return enter(Part::close);
    case Part::eos:
      return enter(Part::end);
    case Part::end:
      return;
  }
}

std::string GrammarWalker::describe_place() const {
  if (part_ == Part::bos) return "the start";
  if (segment_ >= plan_.size()) return "the end";
  int number = 1;
  for (std::size_t i = 0; i < segment_; ++i) number += plan_[i].modality == plan_[segment_].modality ? 1 : 0;
  static constexpr std::string_view names[] = {
      "",    "opening token", "token",         "azimuth",     "elevation", "image code",   "size",
      "box", "detail",        "geometry code", "colour code", "<drop>",    "closing token"};
  std::string text = concat(modality_name(plan_[segment_].modality), " ", number, ": ",
                            names[static_cast<std::size_t>(part_)]);
  const bool counted = part_ == Part::text || part_ == Part::image || part_ == Part::box ||
                       part_ == Part::geometry || part_ == Part::colour;
  return counted ? concat(text, " ", index_) : text;
}

}  // namespace omni::sequence
