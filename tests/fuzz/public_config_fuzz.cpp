#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "omni/core/error.h"
#include "omni/model/cube3d_gpt.h"
#include "omni/model/qwen3.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    // What it says is bounded, and so is the layout that it describes.
    const auto layout = omni::model::public_layout(omni::model::Qwen3Config::parse(text, "fuzz"));
    if (layout.element_count() <= 0) std::abort();
  } catch (const omni::Error&) {
  }
  try {
    const auto layout = omni::model::public_layout(omni::model::Cube3dGptConfig::parse(text, "fuzz"));
    if (layout.element_count() <= 0) std::abort();
  } catch (const omni::Error&) {
  }
  return 0;
}
