#include <cstddef>
#include <cstdint>
#include <string_view>

#include "../../src/data/object_entry.h"
#include "omni/core/error.h"

// One line of objects.jsonl.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    omni::data::read_object_entry({reinterpret_cast<const char*>(data), size}, "fuzz:1");
  } catch (const omni::Error&) {
  }
  return 0;
}
