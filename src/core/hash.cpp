#include <xxhash.h>

#include "omni/core/random.h"

namespace omni {

std::uint64_t hash_string(std::string_view text) { return XXH64(text.data(), text.size(), 0); }

}  // namespace omni
