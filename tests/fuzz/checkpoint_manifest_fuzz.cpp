#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "omni/checkpoint/manifest.h"
#include "omni/core/error.h"

// What reads as a manifest is written and read again to the same text; all else is Error(input).
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace omni::checkpoint;
  try {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const std::string written = to_json(parse_manifest(text, "fuzz"));
    if (to_json(parse_manifest(written, "again")) != written) std::abort();
  } catch (const omni::Error& error) {
    if (error.kind() != omni::ErrorKind::input) std::abort();
  }
  return 0;
}
