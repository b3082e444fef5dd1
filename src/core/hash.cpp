#include <xxhash.h>

#include "omni/core/random.h"

namespace omni {

std::uint64_t hash_combine(std::uint64_t a, std::uint64_t b) {
  const std::uint64_t words[2] = {a, b};
  return XXH64(words, sizeof words, 0);
}

std::uint64_t hash_string(std::string_view text) { return XXH64(text.data(), text.size(), 0); }

}  // namespace omni
