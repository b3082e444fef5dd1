// The log of a build of the kernels alone, which has no logging library: everything from `info` on, to
// standard error.
#include "omni/core/log.h"

#include <atomic>
#include <cstdio>

namespace omni {
namespace {

std::atomic<LogLevel>& lowest() {
  static std::atomic<LogLevel> level = LogLevel::info;
  return level;
}

}  // namespace

void set_log_level(LogLevel level) { lowest() = level; }

bool log_enabled(LogLevel level) { return level >= lowest().load() && level != LogLevel::off; }

void log_message(LogLevel level, std::string_view message) {
  if (log_enabled(level)) std::fprintf(stderr, "%.*s\n", static_cast<int>(message.size()), message.data());
}

}  // namespace omni
