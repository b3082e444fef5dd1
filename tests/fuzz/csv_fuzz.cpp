#include <cstddef>
#include <cstdint>
#include <string_view>

#include "omni/core/error.h"
#include "omni/data/csv.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    omni::data::parse_csv({reinterpret_cast<const char*>(data), size}, "fuzz.csv");
  } catch (const omni::Error&) {
  }
  return 0;
}
