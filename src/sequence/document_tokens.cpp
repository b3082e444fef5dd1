#include "omni/core/error.h"
#include "omni/sequence/grammar.h"

namespace omni::sequence {
namespace {

// Turns payloads into ids, and says of a number outside its range what and where it is.
class TokenWriter {
 public:
  TokenWriter(const Vocabulary& vocabulary, const SequenceLayout& layout)
      : vocabulary_(vocabulary), layout_(layout) {}

  void write(const Segment& segment) {
    ++segment_;
    const std::int32_t opening = kTextBegin + 2 * static_cast<std::int32_t>(segment.modality());
    tokens_.push_back(opening);
    if (segment.dropped) {
      tokens_.push_back(kDrop);
    } else {
      std::visit([this](const auto& payload) { write_payload(payload); }, segment.payload);
    }
    tokens_.push_back(opening + 1);
  }
  void write_special(std::int32_t token) { tokens_.push_back(token); }
  std::vector<std::int32_t> take() { return std::move(tokens_); }

 private:
  void write_payload(const TextPayload& text) {
    if (static_cast<std::int64_t>(text.tokens.size()) > layout_.text_capacity) {
      reject(concat("its text has ", text.tokens.size(), " tokens, but there is room for ",
                    layout_.text_capacity));
    }
    write_codes(kRangeText, text.tokens);
  }

  void write_payload(const ImagePayload& image) {
    write_control(kRangeAzimuth, image.azimuth);
    write_control(kRangeElevation, image.elevation);
    check_count("image", image.codes.size(), layout_.image_codes());
    write_codes(kRangeImage, image.codes);
  }

  void write_payload(const ShapePayload& shape) {
    write_control(kRangeSize, shape.size);
    for (const std::optional<std::int32_t>& extent : shape.box) write_control(kRangeBox, extent);
    bool offered = false;
    for (const std::int64_t length : layout_.geometry_lengths) {
      offered = offered || length == static_cast<std::int64_t>(shape.geometry.size());
    }
    if (!offered) reject(concat(shape.geometry.size(), " geometry codes are not a length that is offered"));
    write_control(kRangeDetail, detail_bin(static_cast<std::int64_t>(shape.geometry.size())));
    write_codes(kRangeGeometry, shape.geometry);
    if (shape.colour.empty()) return;
    check_count("colour", shape.colour.size(), layout_.colour_codes);
    write_codes(kRangeColour, shape.colour);
  }

  void write_control(std::string_view range, const std::optional<std::int32_t>& bin) {
    if (!bin) return write_special(kAny);
    write_code(vocabulary_.range(range), *bin);
  }

  void write_codes(std::string_view name, const std::vector<std::int32_t>& codes) {
    if (codes.empty()) return;
    const TokenRange& range = vocabulary_.range(name);
    for (const std::int32_t code : codes) write_code(range, code);
  }

  void write_code(const TokenRange& range, std::int32_t code) {
    if (code < 0 || code >= range.size) {
      reject(concat("the ", range.name, " code ", code, " is outside 0 .. ", range.size - 1));
    }
    tokens_.push_back(range.first + code);
  }

  void check_count(std::string_view what, std::size_t count, std::int64_t expected) const {
    if (static_cast<std::int64_t>(count) != expected) {
      reject(concat("it has ", count, " ", what, " codes instead of ", expected));
    }
  }

  [[noreturn]] void reject(const std::string& reason) const {
    fail(ErrorKind::input, "laying out segment ", segment_, " of a document: ", reason,
         ". Use the tokenizers that the vocabulary was made for.");
  }

  const Vocabulary& vocabulary_;
  const SequenceLayout& layout_;
  int segment_ = 0;
  std::vector<std::int32_t> tokens_;
};

// Collects the payload of the segment that a walker is in, token by token.
class PayloadReader {
 public:
  PayloadReader(const Vocabulary& vocabulary, const SequenceLayout& layout)
      : vocabulary_(vocabulary), layout_(layout) {}

  void read(Segment& segment, std::int32_t slot, std::int32_t token) const {
    if (segment.dropped || slot == 0) return;
    std::visit([&](auto& payload) { read_payload(payload, slot, token); }, segment.payload);
  }

 private:
  void read_payload(TextPayload& text, std::int32_t, std::int32_t token) const {
    if (token != kTextEnd) text.tokens.push_back(code(kRangeText, token));
  }

  void read_payload(ImagePayload& image, std::int32_t slot, std::int32_t token) const {
    if (token == kImageEnd) return;
    if (slot == 1) {
      image.azimuth = control(kRangeAzimuth, token);
    } else if (slot == 2) {
      image.elevation = control(kRangeElevation, token);
    } else {
      image.codes.push_back(code(kRangeImage, token));
    }
  }

  void read_payload(ShapePayload& shape, std::int32_t slot, std::int32_t token) const {
    if (token == kShapeEnd || slot == 5) return;
    if (slot == 1) {
      shape.size = control(kRangeSize, token);
    } else if (slot <= 4) {
      shape.box[static_cast<std::size_t>(slot) - 2] = control(kRangeBox, token);
    } else if (slot < 6 + layout_.geometry_capacity()) {
      shape.geometry.push_back(code(kRangeGeometry, token));
    } else {
      shape.colour.push_back(code(kRangeColour, token));
    }
  }

  std::int32_t code(std::string_view range, std::int32_t token) const {
    return token - vocabulary_.range(range).first;
  }
  std::optional<std::int32_t> control(std::string_view range, std::int32_t token) const {
    if (token == kAny) return std::nullopt;
    return code(range, token);
  }

  const Vocabulary& vocabulary_;
  const SequenceLayout& layout_;
};

Segment empty_segment(const SegmentPlan& plan) {
  Segment segment;
  if (plan.modality == Modality::image) segment.payload = ImagePayload{};
  if (plan.modality == Modality::shape) segment.payload = ShapePayload{};
  segment.dropped = plan.dropped;
  return segment;
}

}  // namespace

std::vector<SegmentPlan> plan_of(const Document& document) {
  std::vector<SegmentPlan> plan;
  plan.reserve(document.segments.size());
  for (const Segment& segment : document.segments) {
    SegmentPlan entry{.modality = segment.modality(), .dropped = segment.dropped};
    if (const auto* shape = std::get_if<ShapePayload>(&segment.payload))
      entry.with_colour = !shape->colour.empty();
    plan.push_back(entry);
  }
  return plan;
}

std::vector<std::int32_t> document_tokens(const Document& document, const Vocabulary& vocabulary,
                                          const SequenceLayout& layout) {
  const GrammarWalker plan_check(vocabulary, layout, plan_of(document));
  TokenWriter writer(vocabulary, layout);
  writer.write_special(kBos);
  for (const Segment& segment : document.segments) writer.write(segment);
  writer.write_special(kEos);
  return writer.take();
}

std::int64_t token_count(const Document& document) {
  std::size_t count = 2;
  for (const Segment& segment : document.segments) {
    if (segment.dropped) {
      count += 3;
    } else if (const auto* text = std::get_if<TextPayload>(&segment.payload)) {
      count += 2 + text->tokens.size();
    } else if (const auto* image = std::get_if<ImagePayload>(&segment.payload)) {
      count += 4 + image->codes.size();
    } else if (const auto* shape = std::get_if<ShapePayload>(&segment.payload)) {
      count += 7 + shape->geometry.size() + shape->colour.size();
    }
  }
  return static_cast<std::int64_t>(count);
}

Document parse_document(std::span<const std::int32_t> tokens, std::vector<SegmentPlan> plan,
                        const Vocabulary& vocabulary, const SequenceLayout& layout) {
  Document document;
  for (const SegmentPlan& segment : plan) document.segments.push_back(empty_segment(segment));
  const PayloadReader reader(vocabulary, layout);
  GrammarWalker walker(vocabulary, layout, std::move(plan));
  for (const std::int32_t token : tokens) {
    if (walker.finished()) fail(ErrorKind::input, "parsing a document: tokens follow its end.");
    if (!walker.allowed().contains(token)) {
      fail(ErrorKind::input, "parsing a document: token ", token, " cannot stand at ",
           walker.describe_place(), ".");
    }
    const TokenPlace place = walker.place();
    if (token != kBos && token != kEos) {
      reader.read(document.segments[static_cast<std::size_t>(place.segment)], place.slot, token);
    }
    walker.advance(token);
  }
  if (!walker.finished())
    fail(ErrorKind::input, "parsing a document: it breaks off at ", walker.describe_place(), ".");
  return document;
}

}  // namespace omni::sequence
