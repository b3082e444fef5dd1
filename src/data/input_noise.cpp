#include "input_noise.h"

#include <array>
#include <optional>
#include <vector>

namespace omni::data {
namespace {

struct Slot {
  bool is_code = false;               // of a tokenizer; else a control
  std::optional<std::int32_t> token;  // that stood here in the last document that had one
};

// The slots of image and shape segments.
std::array<std::vector<Slot>, sequence::kModalityCount> generated_slots(const sequence::SegmentParts& parts) {
  std::array<std::vector<Slot>, sequence::kModalityCount> slots;
  for (const sequence::SegmentPart& part : parts.all()) {
    if (part.modality == sequence::Modality::text) continue;
    auto& own = slots[static_cast<std::size_t>(part.modality)];
    own.resize(static_cast<std::size_t>(parts.span(part.modality)));
    for (std::int64_t i = 0; i < part.slots; ++i)
      own[static_cast<std::size_t>(part.first_slot + i)].is_code = part.kind == sequence::PartKind::codes;
  }
  return slots;
}

}  // namespace

void add_input_noise(sequence::PackedSequence& sequence, const sequence::SegmentParts& parts,
                     InputNoise noise, CounterRng rng) {
  auto slots = generated_slots(parts);
  for (std::int64_t d = 0; d < sequence.document_count(); ++d) {
    const double wrong_codes = 2 * noise.codes * rng.uniform(),
                 wrong_controls = 2 * noise.controls * rng.uniform();
    const auto first = static_cast<std::size_t>(sequence.document_starts[d]),
               last = static_cast<std::size_t>(sequence.document_starts[d + 1]);
    for (std::size_t i = first + 1; i < last; ++i) {
      const sequence::Modality modality = sequence.streams[i];
      if (modality == sequence::Modality::text || sequence.loss_weights[i - 1] <= 0) continue;
      std::int32_t& token = sequence.tokens[i];
      Slot& slot = slots[static_cast<std::size_t>(modality)].at(static_cast<std::size_t>(sequence.slots[i]));
      const std::int32_t true_token = token;
      if (slot.token && rng.chance(slot.is_code ? wrong_codes : wrong_controls)) token = *slot.token;
      slot.token = true_token;
    }
  }
}

}  // namespace omni::data
