#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "omni/core/error.h"
#include "omni/sequence/grammar.h"

// The first bytes are a plan (a count, then one byte per segment), the others tokens of one byte each: what
// parses must give the same tokens again.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace omni::sequence;
  static const Vocabulary vocabulary =
      make_vocabulary({.text = 20, .image = 7, .geometry = 9, .colour = 6, .views = {24, 7}});
  static const SequenceLayout layout = {.text_capacity = 5,
                                        .image_grid_side = 2,
                                        .geometry_lengths = {2, 4, 8},
                                        .geometry_grid_side = 2,
                                        .colour_codes = 3};
  if (size == 0) return 0;
  std::vector<SegmentPlan> plan(data[0] % 5);
  std::size_t used = 1;
  for (SegmentPlan& segment : plan) {
    if (used == size) return 0;
    const std::uint8_t byte = data[used++];
    segment = {.modality = static_cast<Modality>(byte % 3),
               .dropped = (byte & 4) != 0,
               .geometry_length = (byte & 8) != 0 ? 4 : 0,
               .with_colour = (byte & 16) != 0};
  }
  const std::vector<std::int32_t> tokens(data + used, data + size);
  try {
    const Document document = parse_document(tokens, plan, vocabulary, layout);
    if (document_tokens(document, vocabulary, layout) != tokens) std::abort();
  } catch (const omni::Error& error) {
    if (error.kind() != omni::ErrorKind::input) std::abort();
  }
  return 0;
}
