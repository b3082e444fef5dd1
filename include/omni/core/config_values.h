#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "omni/core/config.h"

namespace omni {

// One resolved value, to be compared with another.
struct ConfigValue {
  // As errors name it: "schedule.peak_learning_rate", "tasks[1].name".
  std::string key;
  // Of a list of plain values and of a mapping with free keys: the whole of it, in its order.
  std::string text;
};

// The values of a config in the order of its description.
std::vector<ConfigValue> config_values(const std::function<void(ConfigVisitor&)>& description);

// Whether `key` is `section` or stands below it.
bool is_within(std::string_view key, std::string_view section);

}  // namespace omni
