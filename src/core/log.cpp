#include "omni/core/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include "omni/core/utf8.h"

namespace omni {
namespace {

spdlog::level::level_enum level_of(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return spdlog::level::debug;
    case LogLevel::info:
      return spdlog::level::info;
    case LogLevel::warning:
      return spdlog::level::warn;
    case LogLevel::error:
      return spdlog::level::err;
    case LogLevel::off:
      return spdlog::level::off;
  }
  return spdlog::level::info;
}

spdlog::logger& logger() {
  static const std::shared_ptr<spdlog::logger> instance = [] {
    auto created = spdlog::stderr_color_mt("omni");
    // On a terminal a progress bar may stand in the line.
    created->set_pattern(::isatty(STDERR_FILENO) ? "\r\033[K%^%l%$: %v" : "%^%l%$: %v");
    return created;
  }();
  return *instance;
}

}  // namespace

void set_log_level(LogLevel level) { logger().set_level(level_of(level)); }

LogLevel parse_log_level(std::string_view name) {
  if (name == "debug") return LogLevel::debug;
  if (name == "info") return LogLevel::info;
  if (name == "warning") return LogLevel::warning;
  if (name == "error") return LogLevel::error;
  if (name == "off") return LogLevel::off;
  fail(ErrorKind::usage, "log level '", name, "' is unknown. Choose debug, info, warning, error or off");
}

bool log_enabled(LogLevel level) { return logger().should_log(level_of(level)); }

void log_message(LogLevel level, std::string_view message) {
  // A message quotes what files and their names hold.
  const std::string text = printable_message(message);
  logger().log(level_of(level), spdlog::string_view_t(text.data(), text.size()));
}

}  // namespace omni
