#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "omni/core/error.h"
#include "omni/sequence/vocabulary.h"

// What reads as a vocabulary must be written and read again unchanged.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using omni::sequence::Vocabulary;
  try {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const Vocabulary vocabulary = Vocabulary::from_json(text, "fuzz");
    if (Vocabulary::from_json(vocabulary.to_json(), "again").ranges() != vocabulary.ranges()) std::abort();
  } catch (const omni::Error& error) {
    if (error.kind() != omni::ErrorKind::input) std::abort();
  }
  return 0;
}
