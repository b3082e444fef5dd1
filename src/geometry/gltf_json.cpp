#include <cmath>

#include "gltf_document.h"
#include "omni/core/error.h"

namespace omni::geometry {
namespace {

using Json = nlohmann::json;

[[noreturn]] void wrong_type(const std::string& name, const char* key, const char* expected) {
  fail(ErrorKind::input, "cannot read mesh ", name, ": \"", key, "\" should be ", expected, ".");
}

}  // namespace

const Json* json_member(const Json& object, const char* key) {
  if (!object.is_object()) return nullptr;
  const auto at = object.find(key);
  return at == object.end() ? nullptr : &*at;
}

std::int64_t json_integer(const Json& object, const char* key, std::int64_t fallback,
                          const std::string& name) {
  const Json* member = json_member(object, key);
  if (!member) return fallback;
  if (member->is_number_integer()) {
    if (member->is_number_unsigned() && member->get<std::uint64_t>() > std::uint64_t(INT64_MAX))
      wrong_type(name, key, "a smaller integer");
    return member->get<std::int64_t>();
  }
  // Some exporters write 3.0 for 3.
  if (member->is_number_float()) {
    const double value = member->get<double>();
    if (value == std::floor(value) && std::abs(value) < 9e15) return std::int64_t(value);
  }
  wrong_type(name, key, "an integer");
}

double json_number(const Json& object, const char* key, double fallback, const std::string& name) {
  const Json* member = json_member(object, key);
  if (!member) return fallback;
  if (!member->is_number() || !std::isfinite(member->get<double>())) wrong_type(name, key, "a number");
  return member->get<double>();
}

std::string json_string(const Json& object, const char* key, const std::string& name) {
  const Json* member = json_member(object, key);
  if (!member) return {};
  if (!member->is_string()) wrong_type(name, key, "a string");
  return member->get<std::string>();
}

bool json_numbers(const Json& object, const char* key, double* values, std::size_t count,
                  const std::string& name) {
  const Json* member = json_member(object, key);
  if (!member) return false;
  if (!member->is_array() || member->size() != count) wrong_type(name, key, "an array of another length");
  for (std::size_t i = 0; i < count; ++i) {
    const Json& entry = (*member)[i];
    if (!entry.is_number() || !std::isfinite(entry.get<double>()))
      wrong_type(name, key, "an array of numbers");
    values[i] = entry.get<double>();
  }
  return true;
}

std::vector<double> json_number_list(const Json& object, const char* key, const std::string& name) {
  const Json* member = json_member(object, key);
  if (!member) return {};
  if (!member->is_array()) wrong_type(name, key, "an array of numbers");
  std::vector<double> values(member->size());
  json_numbers(object, key, values.data(), values.size(), name);
  return values;
}

}  // namespace omni::geometry
