#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace omni::tools {

// JSON on one line. Bytes that are not UTF-8 become replacement characters.
inline std::string json_text(const nlohmann::ordered_json& json) {
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace omni::tools
