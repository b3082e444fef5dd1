#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace omni {

// JSON from text and back, compiled once: where files call the library's own reader and writer, each of them compiles
// these anew, which takes longer than the rest of most files. Json: nlohmann::json or nlohmann::ordered_json.

// Throws nlohmann::json::exception where the text is no JSON.
template <class Json = nlohmann::json>
Json parse_json(std::string_view text);
// A value that is_discarded() where the text is no JSON.
template <class Json = nlohmann::json>
Json parse_json_or_discard(std::string_view text);

// On one line, or with so many spaces for each level. Bytes that are not UTF-8 become replacement characters.
std::string json_text(const nlohmann::json& json, int indent = -1);
std::string json_text(const nlohmann::ordered_json& json, int indent = -1);

}  // namespace omni
