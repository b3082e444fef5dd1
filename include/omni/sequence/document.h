#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <variant>
#include <vector>

namespace omni::sequence {

enum class Modality : std::uint8_t { text, image, shape };
inline constexpr std::array kModalities = {Modality::text, Modality::image, Modality::shape};
inline constexpr std::size_t kModalityCount = kModalities.size();
std::string_view modality_name(Modality modality);  // "text", "image", "shape"
Modality parse_modality(std::string_view name);     // throws Error(usage)

// Payloads in the tokenizers' own numbering (not yet in the vocabulary's).
struct TextPayload {
  std::vector<std::int32_t> tokens;
  friend bool operator==(const TextPayload&, const TextPayload&) = default;
};
struct ImagePayload {
  std::optional<std::int32_t> azimuth, elevation;  // bins; absent: <any>
  std::vector<std::int32_t> codes;                 // row by row
  friend bool operator==(const ImagePayload&, const ImagePayload&) = default;
};
struct ShapePayload {
  std::optional<std::int32_t> size;                // bin; absent: <any>
  std::array<std::optional<std::int32_t>, 3> box;  // bins of x, y, z
  std::vector<std::int32_t> geometry;
  std::vector<std::int32_t> colour;  // may be empty
  friend bool operator==(const ShapePayload&, const ShapePayload&) = default;
};

using Payload = std::variant<TextPayload, ImagePayload, ShapePayload>;  // in the order of Modality
Payload empty_payload(Modality modality);

struct Segment {
  Payload payload;
  bool carries_loss = false;
  bool dropped = false;  // the payload is replaced by <drop>; later positions stay where they are

  Modality modality() const { return static_cast<Modality>(payload.index()); }
  friend bool operator==(const Segment&, const Segment&) = default;
};

// <bos> segments <eos>
struct Document {
  std::vector<Segment> segments;
  friend bool operator==(const Document&, const Document&) = default;
};

}  // namespace omni::sequence
