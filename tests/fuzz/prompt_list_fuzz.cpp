#include <cstddef>
#include <cstdint>
#include <string_view>

#include "omni/core/error.h"
#include "omni/data/prompt_list.h"

// The first byte chooses the format.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  constexpr const char* kFiles[] = {"fuzz.txt", "fuzz.csv", "fuzz.jsonl"};
  try {
    omni::data::parse_prompts({reinterpret_cast<const char*>(data) + 1, size - 1}, kFiles[data[0] % 3]);
  } catch (const omni::Error&) {
  }
  return 0;
}
