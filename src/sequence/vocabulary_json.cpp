#include "omni/core/error.h"
#include "omni/core/json_text.h"
#include "omni/core/text_format.h"
#include "omni/sequence/vocabulary.h"

namespace omni::sequence {
namespace {

constexpr std::size_t kMaximumText = 1 << 20;
constexpr std::size_t kMaximumRanges = 1024;

[[noreturn]] void reject(const std::string& name, const std::string& reason) {
  fail(ErrorKind::input, "reading the vocabulary ", name, ": ", reason, ". Take it from a complete bundle.");
}

}  // namespace

std::string Vocabulary::to_json() const {
  nlohmann::ordered_json ranges = nlohmann::ordered_json::array();
  for (const TokenRange& range : ranges_) ranges.push_back({{"name", range.name}, {"size", range.size}});
  const nlohmann::ordered_json root = {
      {"format", 1}, {"fingerprint", hexadecimal(fingerprint())}, {"ranges", std::move(ranges)}};
  return json_text(root, 1) + "\n";
}

Vocabulary Vocabulary::from_json(std::string_view text, const std::string& name) {
  if (text.size() > kMaximumText) reject(name, "it is longer than a vocabulary can be");
  const nlohmann::json root = parse_json_or_discard(text);
  if (!root.is_object()) reject(name, "it is not a JSON object");
  const auto format = root.find("format");
  if (format == root.end() || *format != 1) reject(name, "its format is not 1");
  const auto ranges = root.find("ranges");
  if (ranges == root.end() || !ranges->is_array() || ranges->empty() || ranges->size() > kMaximumRanges) {
    reject(name, "\"ranges\" is missing or not a list of ranges");
  }
  Vocabulary vocabulary;
  bool first = true;
  for (const nlohmann::json& entry : *ranges) {
    if (!entry.is_object() || !entry.contains("name") || !entry["name"].is_string() ||
        !entry.contains("size") || !entry["size"].is_number_integer()) {
      reject(name, "a range is not an object with a name and a whole size");
    }
    const std::string range = entry["name"].get<std::string>();
    const std::int64_t size = entry["size"].get<std::int64_t>();
    if (first) {
      if (range != kRangeSpecial || size != kSpecialCount)
        reject(name, "it does not start with the special tokens");
      first = false;
      continue;
    }
    if (size <= 0 || size > (std::int64_t{1} << 30)) reject(name, "a range has an impossible size");
    try {
      vocabulary.append(range, static_cast<std::int32_t>(size));
    } catch (const Error& error) {
      reject(name, error.what());
    }
  }
  const auto fingerprint = root.find("fingerprint");
  if (fingerprint == root.end() || *fingerprint != hexadecimal(vocabulary.fingerprint())) {
    reject(name, "its fingerprint does not fit its ranges: it was changed or damaged");
  }
  return vocabulary;
}

}  // namespace omni::sequence
