#include "omni/checkpoint/manifest.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <limits>
#include <set>

#include "omni/core/error.h"
#include "omni/core/json_text.h"
#include "omni/core/random.h"
#include "omni/core/text_format.h"

namespace omni::checkpoint {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::int64_t kFormatVersion = 2;  // 1 was state.json beside a bundle
constexpr std::uint64_t kMaximumCount = std::uint64_t{1} << 53;
constexpr std::size_t kMaximumDepth = 4;  // of folders below the common one
constexpr std::string_view kBeforeChecksum = ",\n  \"checksum\": \"";

bool is_plain_name(std::string_view name) {
  constexpr std::size_t kLongest = 255;
  return !name.empty() && name.size() <= kLongest && name.front() != '.' &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) {
           return std::isalnum(c) != 0 || c == '.' || c == '_' || c == '-';
         });
}

bool is_plain_path(std::string_view path) {
  for (std::size_t depth = 0; depth < kMaximumDepth; ++depth) {
    const std::size_t slash = path.find('/');
    if (!is_plain_name(path.substr(0, slash))) return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
  return false;
}

Json to_json(const std::vector<StoredFile>& files) {
  Json list = Json::array();
  for (const StoredFile& file : files)
    list.push_back({{"name", file.name}, {"bytes", file.bytes}, {"checksum", hexadecimal(file.checksum)}});
  return list;
}

// The fields of a JSON object that an unknown hand may have written.
class Fields {
 public:
  Fields(const Json& object, const std::string& name) : object_(object), name_(name) {
    if (!object.is_object()) refuse("it is no JSON object");
  }
  [[noreturn]] void refuse(std::string_view reason) const {
    fail(ErrorKind::input, name_, ": ", reason, ". The file is damaged or of another version of omni");
  }
  const Json& at(const char* key) const {
    const auto found = object_.find(key);
    if (found == object_.end()) refuse(concat("'", key, "' is missing"));
    return *found;
  }
  std::uint64_t count(const char* key) const {
    const Json& value = at(key);
    if (!value.is_number_unsigned() || value.get<std::uint64_t>() > kMaximumCount)
      refuse(concat("'", key, "' is no count"));
    return value.get<std::uint64_t>();
  }
  std::string text(const char* key) const {
    if (!at(key).is_string()) refuse(concat("'", key, "' is no text"));
    return at(key).get<std::string>();
  }
  std::uint64_t hash(const char* key) const {
    const std::optional<std::uint64_t> value = parse_hexadecimal(text(key));
    if (!value) refuse(concat("'", key, "' is no checksum"));
    return *value;
  }
  std::vector<StoredFile> files(const char* key, bool (*is_fine)(std::string_view)) const {
    if (!at(key).is_array()) refuse(concat("'", key, "' is no list"));
    std::vector<StoredFile> files;
    std::set<std::string> seen;
    for (const Json& item : at(key)) {
      const Fields fields(item, name_);
      files.push_back({fields.text("name"), fields.count("bytes"), fields.hash("checksum")});
      if (!is_fine(files.back().name) || !seen.insert(files.back().name).second)
        refuse(concat("'", key, "' names a file that it cannot have, or one twice"));
    }
    return files;
  }

 private:
  const Json& object_;
  const std::string& name_;
};

std::map<std::string, std::string> read_inputs(const Fields& fields) {
  std::map<std::string, std::string> inputs;
  if (!fields.at("inputs").is_object()) fields.refuse("'inputs' is no JSON object");
  for (const auto& [key, value] : fields.at("inputs").items()) {
    if (!value.is_string()) fields.refuse("'inputs' holds something else than texts");
    inputs[key] = value.get<std::string>();
  }
  return inputs;
}

std::map<std::string, double> read_numbers(const Fields& fields) {
  std::map<std::string, double> numbers;
  if (!fields.at("numbers").is_object()) fields.refuse("'numbers' is no JSON object");
  for (const auto& [key, value] : fields.at("numbers").items()) {
    if (!value.is_number() && !value.is_null()) fields.refuse("'numbers' holds something else than numbers");
    numbers[key] = value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>();
  }
  return numbers;
}

void check_own_checksum(std::string_view text, const Fields& fields) {
  const std::size_t end = text.rfind(kBeforeChecksum);
  if (end == std::string_view::npos || hash_string(text.substr(0, end)) != fields.hash("checksum"))
    fields.refuse("it has another checksum than was written with it");
}

}  // namespace

std::string to_json(const Manifest& manifest) {
  Json numbers = Json::object();
  for (const auto& [key, value] : manifest.run.numbers)
    numbers[key] = std::isfinite(value) ? Json(value) : Json(nullptr);
  const Json json = {{"format_version", kFormatVersion},
                     {"step", manifest.run.step},
                     {"tokens", manifest.run.tokens},
                     {"seconds", manifest.run.seconds},
                     {"written", manifest.written},
                     {"inputs", manifest.run.inputs},
                     {"numbers", numbers},
                     {"shards", to_json(manifest.shards)},
                     {"common", to_json(manifest.common)},
                     {"config", manifest.config}};
  std::string text = json_text(json, 2);
  text.resize(text.rfind("\n}"));
  const std::string checksum = hexadecimal(hash_string(text));
  return concat(text, kBeforeChecksum, checksum, "\"\n}\n");
}

Manifest parse_manifest(std::string_view text, const std::string& name) {
  const Json json = parse_json_or_discard<Json>(text);
  const Fields fields(json, name);
  if (fields.count("format_version") != kFormatVersion) fields.refuse("it has another format version");
  Manifest manifest;
  manifest.run.step = static_cast<std::int64_t>(fields.count("step"));
  manifest.run.tokens = static_cast<std::int64_t>(fields.count("tokens"));
  if (!fields.at("seconds").is_number()) fields.refuse("'seconds' is no number");
  manifest.run.seconds = fields.at("seconds").get<double>();
  manifest.written = static_cast<std::int64_t>(fields.count("written"));
  manifest.run.inputs = read_inputs(fields);
  manifest.run.numbers = read_numbers(fields);
  manifest.shards = fields.files("shards", is_plain_name);
  if (manifest.shards.empty()) fields.refuse("it names no shards");
  manifest.common = fields.files("common", is_plain_path);
  manifest.config = fields.text("config");
  check_own_checksum(text, fields);
  return manifest;
}

}  // namespace omni::checkpoint
