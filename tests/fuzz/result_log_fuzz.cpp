// Lines of results.jsonl: parsed or refused with Error, and what is parsed can be written and read again.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "omni/core/error.h"
#include "omni/evaluation/result_log.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const auto unit = omni::evaluation::parse_unit({reinterpret_cast<const char*>(data), size}, "fuzz");
    const std::string line = omni::evaluation::to_json_line(unit);
    if (omni::evaluation::to_json_line(omni::evaluation::parse_unit(line, "again")) != line) std::abort();
  } catch (const omni::Error&) {
  }
  return 0;
}
