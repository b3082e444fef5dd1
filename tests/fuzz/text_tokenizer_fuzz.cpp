// Half of the inputs are taken as a tokenizer.json, the others as text for a fixed tokenizer.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "omni/core/error.h"
#include "omni/tokenizers/text_tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using omni::tokenizers::TextTokenizer;
  static const TextTokenizer fixed =
      TextTokenizer::from_merges({{"a", "b"}, {"ab", "ab"}, {" ", "t"}, {"\xC3", "\xA9"}});
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  if (bytes.starts_with('{')) {
    try {
      const TextTokenizer read = TextTokenizer::parse(bytes, "fuzz");
      read.decode(read.encode("It's 12 red\n chairs\xC3\xA9\xFF"));
    } catch (const omni::Error&) {
    }
  }
  if (fixed.decode(fixed.encode(bytes)) != bytes) std::abort();
  return 0;
}
