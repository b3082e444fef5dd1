#pragma once

#include <map>
#include <string>
#include <vector>

#include "omni/core/config_values.h"

namespace omni::training {

// What decides what a run is, and what of it may change when the run is resumed.

// Fingerprints (hexadecimal) of what a run reads, by the key of the config (or the option) that names it.
using RunInputs = std::map<std::string, std::string>;

struct RunRecord {
  std::vector<ConfigValue> config;
  RunInputs inputs;
};

template <class Config>
std::vector<ConfigValue> values_of(Config config) {
  return config_values([&](ConfigVisitor& visitor) { describe(visitor, config); });
}

// Keys or sections; every other key decides what the run is.
struct ChangeRules {
  std::vector<std::string> free;   // may change at any time
  std::vector<std::string> fixed;  // cannot change even where that is allowed: the checkpoint holds them
};

// Throws Error(usage) that names every key whose value is another than in the run that goes on, unless it is
// free or `allowed`; and where `allowed` names no key. A key with an input is compared by its content: the
// same data may lie elsewhere. An input that was not recorded is compared by its name alone.
void refuse_changes(const std::string& output, const RunRecord& earlier, const RunRecord& now,
                    const ChangeRules& rules, const std::vector<std::string>& allowed);

}  // namespace omni::training
