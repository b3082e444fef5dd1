#include "public_config.h"

#include "omni/core/error.h"
#include "omni/core/files.h"

namespace omni::model {
namespace {

constexpr std::uint64_t kLargestConfig = std::uint64_t{1} << 20;
constexpr int kDeepest = 32;

}  // namespace

PublicConfig PublicConfig::load(const std::filesystem::path& path) {
  return parse(read_file_text(path, kLargestConfig), path.string());
}

PublicConfig PublicConfig::parse(std::string_view text, const std::string& name) {
  // Values nested without end would take the stack when they are copied or written.
  const auto shallow = [&](int depth, nlohmann::json::parse_event_t, nlohmann::json&) {
    if (depth > kDeepest) fail(ErrorKind::input, "reading '", name, "': it is nested too deeply");
    return true;
  };
  nlohmann::json json = nlohmann::json::parse(text, shallow, false);
  if (!json.is_object())
    fail(ErrorKind::input, "reading '", name, "': it is no JSON object. Give the publisher's config.json");
  return {name, "", std::move(json)};
}

void PublicConfig::refuse(const std::string& key, const std::string& what) const {
  fail(ErrorKind::input, "reading '", file_, "': ", prefix_, key, " ", what);
}

void PublicConfig::unsupported(const std::string& key, const std::string& supported) const {
  using nlohmann::json;
  const std::string value =
      has(key) ? json_[key].dump(-1, ' ', true, json::error_handler_t::replace) : "absent";
  refuse(key, concat("is ", value, ", which is not supported. It may be ", supported));
}

PublicConfig PublicConfig::section(const std::string& key) const {
  if (!has(key) || !json_[key].is_object()) refuse(key, "must be a mapping");
  return {file_, prefix_ + key + ".", json_[key]};
}

std::int64_t PublicConfig::integer(const std::string& key, NumberRange range,
                                   std::optional<std::int64_t> absent) const {
  if (is_null(key) && absent) return *absent;
  if (!has(key) || !json_[key].is_number_integer() || !contains(range, json_[key].get<double>()))
    refuse(key, "must be a whole number " + range_text(range));
  return json_[key].get<std::int64_t>();
}

double PublicConfig::number(const std::string& key, NumberRange range, std::optional<double> absent) const {
  if (is_null(key) && absent) return *absent;
  if (!has(key) || !json_[key].is_number() || !contains(range, json_[key].get<double>()))
    refuse(key, "must be a number " + range_text(range));
  return json_[key].get<double>();
}

bool PublicConfig::flag(const std::string& key, std::optional<bool> absent) const {
  if (is_null(key) && absent) return *absent;
  if (!has(key) || !json_[key].is_boolean()) refuse(key, "must be true or false");
  return json_[key].get<bool>();
}

std::string PublicConfig::text(const std::string& key, std::optional<std::string> absent) const {
  if (is_null(key) && absent) return *absent;
  if (!has(key) || !json_[key].is_string()) refuse(key, "must be a text");
  return json_[key].get<std::string>();
}

}  // namespace omni::model
