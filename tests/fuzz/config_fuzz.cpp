#include "omni/core/config.h"

#include <cstddef>
#include <cstdint>

#include "omni/core/error.h"
#include "omni/core/log.h"
#include "omni/training/stage_config.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  omni::set_log_level(omni::LogLevel::off);
  try {
    omni::training::StageConfig config;
    omni::ConfigFile::parse(std::string(reinterpret_cast<const char*>(data), size), "fuzz")
        .read([&](omni::ConfigVisitor& visitor) { omni::training::describe(visitor, config); });
  } catch (const omni::Error&) {
  }
  return 0;
}
