#include "document_builder.h"

#include <algorithm>
#include <numeric>

#include "omni/core/error.h"
#include "omni/core/shuffle.h"

namespace omni::data {
namespace {

using sequence::Modality;

std::int64_t image_segments(const sequence::Task& task, std::string_view source) {
  return std::count_if(task.segments.begin(), task.segments.end(), [&](const sequence::TaskSegment& segment) {
    return segment.modality == Modality::image && segment.source == source;
  });
}

// The first `count` of a random order of 0 .. total - 1.
std::vector<std::int64_t> draw_distinct(std::int64_t total, std::int64_t count, CounterRng& rng) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(total));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  shuffle_first(std::span(order), static_cast<std::size_t>(count), rng);
  order.resize(static_cast<std::size_t>(count));
  return order;
}

}  // namespace

DocumentBuilder::DocumentBuilder(const TokenDataset& dataset, const sequence::SequenceLayout& layout,
                                 bool views, const BatchOptions& options)
    : dataset_(dataset), layout_(layout), views_(views), options_(options) {}

bool DocumentBuilder::draws(TokenDataset::Place place, std::int64_t caption, bool is_condition) const {
  if (place.shard->caption_length(place.object, caption) > layout_.text_capacity) return false;
  const bool brief = place.shard->caption_kind(place.object, caption) == CaptionKind::brief;
  return !brief || (is_condition && options_.brief_caption_share > 0);
}

std::vector<bool> DocumentBuilder::members(const sequence::Task& task, std::int64_t object) const {
  const TokenDataset::Place place = dataset_.at(object);
  const TokenShardInfo& info = place.shard->info();
  bool any_text = false;
  // Brief ones do not count: which objects a run shows does not depend on their share.
  for (std::int64_t i = 0; i < place.shard->caption_count(place.object) && !any_text; ++i)
    any_text = draws(place, i, false);
  std::int64_t views = info.tokens.image.present() ? info.views_per_object : 0;
  std::vector<bool> there;
  for (const sequence::TaskSegment& segment : task.segments) {
    if (segment.modality == Modality::text)
      there.push_back(any_text);
    else if (segment.modality == Modality::image)
      there.push_back(views-- > 0);
    else
      there.push_back(info.tokens.shape.present());
  }
  return there;
}

bool DocumentBuilder::serves(const sequence::Task& task, std::string_view source, std::int64_t object) const {
  const TokenDataset::Place place = dataset_.at(object);
  const TokenShardInfo& info = place.shard->info();
  if (place.shard->split(place.object) != options_.split) return false;
  if (sequence::is_editing_task(task)) {  // whose text is no caption
    if (image_segments(task, source) > (info.tokens.image.present() ? info.views_per_object : 0))
      return false;
    return std::none_of(task.segments.begin(), task.segments.end(), [&](const auto& segment) {
      return segment.source == source && segment.modality == Modality::shape && !info.tokens.shape.present();
    });
  }
  const std::vector<bool> there = members(task, object);
  const auto count = std::count(there.begin(), there.end(), true);
  if (!options_.incomplete_objects) return count == std::ssize(there);
  bool any_loss = false;
  for (std::size_t i = 0; i < there.size(); ++i) any_loss = any_loss || (there[i] && task.segments[i].loss);
  return any_loss && count >= std::min<std::ptrdiff_t>(2, std::ssize(there));
}

sequence::TextPayload DocumentBuilder::text(const Example& example, bool is_condition,
                                            CounterRng& rng) const {
  // A draw of its own only where it is asked for: other runs keep their documents.
  const bool want_brief =
      is_condition && options_.brief_caption_share > 0 && rng.chance(options_.brief_caption_share);
  const bool want_complete = rng.chance(options_.complete_caption_share);
  const std::uint64_t choice = rng.next_u64();
  if (!example.instructions.empty()) {
    const std::string& instruction = example.instructions[choice % example.instructions.size()].text;
    std::vector<std::int32_t> tokens = options_.encode_text(instruction);
    if (static_cast<std::int64_t>(tokens.size()) > layout_.text_capacity) {
      fail(ErrorKind::usage, "drawing an editing document: the instruction \"", instruction,
           "\" does not fit into ", layout_.text_capacity, " tokens. Raise text_capacity.");
    }
    return {std::move(tokens)};
  }
  const TokenDataset::Place place = dataset_.at(example.object);
  const CaptionKind kind = want_brief      ? CaptionKind::brief
                           : want_complete ? CaptionKind::complete
                                           : CaptionKind::partial;
  std::vector<std::int64_t> wanted, fitting;
  for (std::int64_t i = 0; i < place.shard->caption_count(place.object); ++i) {
    if (draws(place, i, false)) fitting.push_back(i);
    if (draws(place, i, want_brief) && place.shard->caption_kind(place.object, i) == kind)
      wanted.push_back(i);
  }
  const std::vector<std::int64_t>& pool = wanted.empty() ? fitting : wanted;
  ensure(!pool.empty(), "an object without a caption that fits was drawn for a task with text");
  return {place.shard->caption(place.object, pool[choice % pool.size()])};
}

sequence::ShapePayload DocumentBuilder::shape(std::int64_t object, CounterRng& rng) const {
  const auto [shard, local] = dataset_.at(object);
  sequence::ShapePayload shape;
  if (!rng.chance(options_.any_control_share)) {
    shape.size = shard->size_bin(local);
    const std::array<std::int32_t, 3> box = shard->box_bins(local);
    for (std::size_t axis = 0; axis < 3; ++axis) shape.box[axis] = box[axis];
  }
  shape.geometry = shard->geometry(local);
  // Full length half of the time, else one of the shorter ones.
  const std::vector<std::int64_t>& lengths = layout_.geometry_lengths;
  const bool full = rng.chance(0.5);
  const std::uint64_t choice = rng.next_u64();
  if (!full && lengths.size() > 1) {
    shape.geometry.resize(static_cast<std::size_t>(lengths[choice % (lengths.size() - 1)]));
  }
  if (layout_.colour_codes > 0) shape.colour = shard->colour(local);
  return shape;
}

// One view index per segment (0 where it is no image): distinct for one object. An edit is shown from the
// same side where both objects have such views.
std::vector<std::int64_t> DocumentBuilder::draw_views(const sequence::Task& task, const Example& example,
                                                      CounterRng& rng) const {
  std::vector<std::int64_t> views(task.segments.size(), 0);
  std::pair<std::int32_t, std::int32_t> seen{-1, -1};
  for (const std::string_view source : {"before", "target"}) {
    const std::int64_t count = image_segments(task, source);
    if (count == 0) continue;
    const auto [shard, object] = dataset_.at(source == "before" ? example.before : example.object);
    const std::int64_t stored = shard->info().views_per_object;
    std::vector<std::int64_t> drawn = draw_distinct(stored, std::min(count, stored), rng);
    if (source == "target" && seen.first >= 0 && count == 1) {
      for (std::int64_t i = 0; i < shard->info().views_per_object; ++i) {
        if (shard->view_bins(object, i) == seen) drawn[0] = i;
      }
    }
    if (source == "before") seen = shard->view_bins(object, drawn[0]);
    std::size_t next = 0;
    for (std::size_t i = 0; i < task.segments.size(); ++i) {
      const sequence::TaskSegment& segment = task.segments[i];
      if (segment.modality == Modality::image && segment.source == source && next < drawn.size())
        views[i] = drawn[next++];
    }
  }
  return views;
}

sequence::Document DocumentBuilder::build(const sequence::Task& task, const Example& example,
                                          CounterRng rng) const {
  const std::vector<bool> drops = sequence::draw_drops(task, rng);
  const std::vector<std::int64_t> views = draw_views(task, example, rng);
  std::vector<bool> there(task.segments.size(), true);
  if (options_.incomplete_objects && !sequence::is_editing_task(task)) there = members(task, example.object);
  sequence::Document document;
  for (std::size_t i = 0; i < task.segments.size(); ++i) {
    const sequence::TaskSegment& wanted = task.segments[i];
    if (!there[i]) {
      document.segments.push_back({.payload = sequence::empty_payload(wanted.modality), .dropped = true});
      continue;
    }
    const std::int64_t object = wanted.source == "before" ? example.before : example.object;
    sequence::Segment segment{.carries_loss = wanted.loss, .dropped = drops[i]};
    if (wanted.modality == Modality::text) {
      segment.payload = text(example, !wanted.loss, rng);
    } else if (wanted.modality == Modality::image) {
      const TokenDataset::Place place = dataset_.at(object);
      TokenObject::View view = place.shard->view(place.object, views[i]);
      sequence::ImagePayload image{.codes = std::move(view.codes)};
      const bool any = rng.chance(options_.any_control_share);
      if (wanted.view && views_ && !any) {
        image.azimuth = view.azimuth;
        image.elevation = view.elevation;
      }
      segment.payload = std::move(image);
    } else {
      segment.payload = shape(object, rng);
    }
    document.segments.push_back(std::move(segment));
  }
  return document;
}

}  // namespace omni::data
