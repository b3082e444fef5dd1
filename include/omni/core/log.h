#pragma once

#include <string>
#include <string_view>

#include "omni/core/error.h"

namespace omni {

enum class LogLevel { debug, info, warning, error, off };

// Messages of this level and above are written, to standard error, so that standard output stays for results.
// Thread-safe.
void set_log_level(LogLevel level);
LogLevel parse_log_level(std::string_view name);  // throws Error(usage) for an unknown name
bool log_enabled(LogLevel level);
void log_message(LogLevel level, std::string_view message);

template <class... Parts>
void log_debug(const Parts&... parts) {
  if (log_enabled(LogLevel::debug)) log_message(LogLevel::debug, concat(parts...));
}
template <class... Parts>
void log_info(const Parts&... parts) {
  if (log_enabled(LogLevel::info)) log_message(LogLevel::info, concat(parts...));
}
template <class... Parts>
void log_warning(const Parts&... parts) {
  if (log_enabled(LogLevel::warning)) log_message(LogLevel::warning, concat(parts...));
}

}  // namespace omni
