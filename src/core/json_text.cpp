#include "omni/core/json_text.h"

namespace omni {

template <class Json>
Json parse_json(std::string_view text) {
  return Json::parse(text);
}
template nlohmann::json parse_json(std::string_view text);
template nlohmann::ordered_json parse_json(std::string_view text);

template <class Json>
Json parse_json_or_discard(std::string_view text) {
  return Json::parse(text, nullptr, false);
}
template nlohmann::json parse_json_or_discard(std::string_view text);
template nlohmann::ordered_json parse_json_or_discard(std::string_view text);

std::string json_text(const nlohmann::json& json, int indent) {
  return json.dump(indent, ' ', false, nlohmann::json::error_handler_t::replace);
}
std::string json_text(const nlohmann::ordered_json& json, int indent) {
  return json.dump(indent, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace omni
