#include "document_tokens.h"

#include "omni/core/error.h"

namespace omni::sequence {
namespace {

using Bin = std::optional<std::int32_t>;
using Bins = std::array<Bin, 3>;
using Codes = std::vector<std::int32_t>;

template <class AnyPayload, class Owner, class Value>
auto& member_of(AnyPayload& payload, Value Owner::*member) {
  return std::get<Owner>(payload).*member;
}

// Calls `use` with the member of the payload that holds the part: a bin, three of them, or codes. Parts that
// follow from others have none.
template <class AnyPayload, class Use>
void visit_field(const SegmentPart& part, AnyPayload& payload, const Use& use) {
  const auto call = [&](auto member) {
    if constexpr (!std::is_same_v<decltype(member), std::monostate>) use(member_of(payload, member));
  };
  std::visit(call, part.field);
}

// Turns payloads into ids, and says of a number outside its range what and where it is.
class TokenWriter {
 public:
  TokenWriter(const SegmentParts& parts, const SequenceLayout& layout) : parts_(parts), layout_(layout) {}

  void write(const Segment& segment) {
    ++segment_;
    tokens_.push_back(opening_token(segment.modality()));
    if (segment.dropped) {
      tokens_.push_back(kDrop);
    } else {
      write(segment.payload, parts_.of(segment.modality()));
    }
    tokens_.push_back(closing_token(segment.modality()));
  }
  void write_special(std::int32_t token) { tokens_.push_back(token); }
  std::vector<std::int32_t> take() { return std::move(tokens_); }

 private:
  void write(const Payload& payload, std::span<const SegmentPart> parts) {
    for (std::size_t i = 0; i < parts.size(); ++i) {
      if (parts[i].kind == PartKind::detail) write_detail(payload, parts[i], parts[i + 1]);
      visit_field(parts[i], payload, [&](const auto& field) { write_field(parts[i], field); });
    }
  }

  void write_detail(const Payload& payload, const SegmentPart& detail, const SegmentPart& detailed) {
    std::int64_t count = 0;
    visit_field(detailed, payload, [&](const auto& field) {
      if constexpr (std::is_same_v<decltype(field), const Codes&>)
        count = static_cast<std::int64_t>(field.size());
    });
    if (!layout_.offers_geometry_length(count))
      reject(concat(count, " ", detailed.name, "s are not a length that is offered"));
    write_code(detail, detail_bin(count));
  }

  void write_field(const SegmentPart& part, const Bin& bin) {
    if (bin) {
      write_code(part, *bin);
    } else if (part.slots > 0) {
      write_special(kAny);
    }
  }
  void write_field(const SegmentPart& part, const Bins& bins) {
    for (const Bin& bin : bins) write_field(part, bin);
  }

  void write_field(const SegmentPart& part, const Codes& codes) {
    const auto count = static_cast<std::int64_t>(codes.size());
    if (part.length == PartLength::until_closing && count > part.slots) {
      reject(concat("it has ", count, " ", part.name, "s, but there is room for ", part.slots));
    }
    const bool left_out = part.optional && codes.empty();
    if (part.length == PartLength::whole && count != part.slots && !left_out) {
      reject(concat("it has ", count, " ", part.name, "s instead of ", part.slots));
    }
    const std::size_t start = tokens_.size();
    tokens_.resize(start + codes.size());
    for (std::size_t i = 0; i < codes.size(); ++i) tokens_[start + i] = token_of(part, codes[i]);
  }

  void write_code(const SegmentPart& part, std::int32_t code) { tokens_.push_back(token_of(part, code)); }

  std::int32_t token_of(const SegmentPart& part, std::int32_t code) const {
    if (code < 0 || code >= part.token_count) reject_code(part, code);
    return part.first_token + code;
  }

  [[noreturn]] void reject_code(const SegmentPart& part, std::int32_t code) const {
    if (part.token_count == 0) reject(concat("the vocabulary has no range \"", part.range, "\""));
    reject(concat("the ", part.range, " code ", code, " is outside 0 .. ", part.token_count - 1));
  }

  [[noreturn]] void reject(const std::string& reason) const {
    fail(ErrorKind::input, "laying out segment ", segment_, " of a document: ", reason,
         ". Use the tokenizers that the vocabulary was made for.");
  }

  const SegmentParts& parts_;
  const SequenceLayout& layout_;
  int segment_ = 0;
  std::vector<std::int32_t> tokens_;
};

void read_code(Bin& bin, std::size_t, Bin code) { bin = code; }
void read_code(Bins& bins, std::size_t index, Bin code) { bins[index] = code; }
void read_code(Codes& codes, std::size_t, Bin code) { codes.push_back(code.value()); }

// Takes one token of a part, at a place where it is allowed, into the payload.
void read_token(Payload& payload, const SegmentPart& part, std::int64_t index, std::int32_t token) {
  if (token == closing_token(part.modality)) return;
  Bin code;
  if (token != kAny) code = token - part.first_token;
  visit_field(part, payload, [&](auto& field) { read_code(field, static_cast<std::size_t>(index), code); });
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

std::vector<std::int32_t> write_tokens(const Document& document, const SegmentParts& parts,
                                       const SequenceLayout& layout) {
  TokenWriter writer(parts, layout);
  writer.write_special(kBos);
  for (const Segment& segment : document.segments) writer.write(segment);
  writer.write_special(kEos);
  return writer.take();
}

std::vector<std::int32_t> document_tokens(const Document& document, const Vocabulary& vocabulary,
                                          const SequenceLayout& layout) {
  const GrammarWalker walker(vocabulary, layout, plan_of(document));  // refuses what the model lacks
  return write_tokens(document, walker.parts(), layout);
}

Document parse_document(std::span<const std::int32_t> tokens, std::vector<SegmentPlan> plan,
                        const Vocabulary& vocabulary, const SequenceLayout& layout) {
  Document document;
  for (const SegmentPlan& segment : plan) {
    document.segments.push_back(
        {.payload = empty_payload(segment.modality), .carries_loss = false, .dropped = segment.dropped});
  }
  GrammarWalker walker(vocabulary, layout, std::move(plan));
  for (const std::int32_t token : tokens) {
    if (walker.finished()) fail(ErrorKind::input, "parsing a document: tokens follow its end.");
    if (!walker.allowed().contains(token)) {
      fail(ErrorKind::input, "parsing a document: token ", token, " cannot stand at ",
           walker.describe_place(), ".");
    }
    if (const SegmentPart* part = walker.part()) {
      Segment& segment = document.segments[static_cast<std::size_t>(walker.place().segment)];
      read_token(segment.payload, *part, walker.index_in_part(), token);
    }
    walker.advance(token);
  }
  if (!walker.finished())
    fail(ErrorKind::input, "parsing a document: it breaks off at ", walker.describe_place(), ".");
  return document;
}

}  // namespace omni::sequence
