#include "run_record.h"

#include <algorithm>
#include <optional>
#include <set>

#include "omni/core/error.h"

namespace omni::training {
namespace {

bool is_within_any(const std::string& key, const std::vector<std::string>& sections) {
  return std::any_of(sections.begin(), sections.end(),
                     [&](const std::string& section) { return is_within(key, section); });
}

using Values = std::map<std::string, std::string>;

Values by_key(const std::vector<ConfigValue>& config) {
  Values values;
  for (const ConfigValue& value : config) values[value.key] = value.text;
  return values;
}

std::optional<std::string> find(const Values& values, const std::string& key) {
  const auto found = values.find(key);
  if (found == values.end()) return std::nullopt;
  return found->second;
}

// "seed was 1 and is 2"; nothing where the value is the same.
std::optional<std::string> change_of(const std::string& key, const RunRecord& earlier, const RunRecord& now,
                                     const Values& earlier_config, const Values& config) {
  const auto old_input = find(earlier.inputs, key), input = find(now.inputs, key);
  if (old_input && input) {
    if (*old_input == *input) return std::nullopt;
    return concat(key, " has other content than it had");
  }
  const auto old_value = find(earlier_config, key), value = find(config, key);
  if (old_value == value) return std::nullopt;
  return concat(key, " was ", old_value.value_or("not given"), " and is ", value.value_or("not given"));
}

// All keys, in the order of the config.
std::vector<std::string> keys_of(const RunRecord& earlier, const RunRecord& now) {
  std::vector<std::string> keys;
  std::set<std::string> seen;
  const auto add = [&](const std::string& key) {
    if (seen.insert(key).second) keys.push_back(key);
  };
  for (const RunRecord* record : {&now, &earlier}) {
    for (const ConfigValue& value : record->config) add(value.key);
    for (const auto& [key, fingerprint] : record->inputs) add(key);
  }
  return keys;
}

// And "schedule" of "schedule.decay_share", each once.
std::vector<std::string> with_sections(const std::vector<std::string>& keys) {
  std::set<std::string> names(keys.begin(), keys.end());
  for (const std::string& key : keys)
    for (std::size_t dot = key.find('.'); dot != key.npos; dot = key.find('.', dot + 1))
      names.insert(key.substr(0, dot));
  return {names.begin(), names.end()};
}

void check_allowed(const std::vector<std::string>& keys, const std::vector<std::string>& allowed) {
  for (const std::string& section : allowed) {
    if (std::any_of(keys.begin(), keys.end(), [&](const auto& key) { return is_within(key, section); }))
      continue;
    const std::string nearest = nearest_word(section, with_sections(keys));
    fail(ErrorKind::usage, "--allow-change ", section, ": there is no such key",
         nearest.empty() ? "" : concat(". Did you mean '", nearest, "'?"));
  }
}

}  // namespace

void refuse_changes(const std::string& output, const RunRecord& earlier, const RunRecord& now,
                    const ChangeRules& rules, const std::vector<std::string>& allowed) {
  const std::vector<std::string> keys = keys_of(earlier, now);
  check_allowed(keys, allowed);
  const Values earlier_config = by_key(earlier.config), config = by_key(now.config);
  std::string changes, way_out;
  bool any_fixed = false;
  for (const std::string& key : keys) {
    if (is_within_any(key, rules.free)) continue;
    const auto change = change_of(key, earlier, now, earlier_config, config);
    const bool fixed = is_within_any(key, rules.fixed);
    if (!change || (!fixed && is_within_any(key, allowed))) continue;
    changes += (changes.empty() ? "" : ", ") + *change;
    way_out += " --allow-change " + key;
    any_fixed = any_fixed || fixed;
  }
  if (changes.empty()) return;
  fail(ErrorKind::usage, "resuming '", output, "': it was started with another config: ", changes, ". ",
       any_fixed ? "The checkpoint holds what cannot change. Take the old value, or choose another output"
                 : concat("Take the old value, or add", way_out));
}

}  // namespace omni::training
