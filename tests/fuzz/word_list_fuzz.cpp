#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "omni/core/error.h"
#include "omni/tokenizers/word_list.h"

// What reads as a word list must be written and read again unchanged.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using omni::tokenizers::WordList;
  try {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const WordList list = WordList::parse(text, "fuzz");
    if (WordList::parse(list.to_json(), "again") != list) std::abort();
  } catch (const omni::Error& error) {
    if (error.kind() != omni::ErrorKind::input) std::abort();
  }
  return 0;
}
