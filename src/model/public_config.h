#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "omni/core/number.h"

namespace omni::model {

// The JSON configuration that a publisher gives beside the weights. Every mistake is Error(input) naming file and key.
class PublicConfig {
 public:
  static PublicConfig load(const std::filesystem::path& path);
  // The same from memory; `name` appears in errors.
  static PublicConfig parse(std::string_view json, const std::string& name);

  bool has(const std::string& key) const { return json_.contains(key); }
  // A mapping inside; its keys are named "outer.inner" in messages.
  PublicConfig section(const std::string& key) const;
  // The value, which must be in range; where the key is absent the default, without one an error.
  std::int64_t integer(const std::string& key, NumberRange range,
                       std::optional<std::int64_t> absent = {}) const;
  double number(const std::string& key, NumberRange range, std::optional<double> absent = {}) const;
  bool flag(const std::string& key, std::optional<bool> absent = {}) const;
  std::string text(const std::string& key, std::optional<std::string> absent = {}) const;
  bool is_null(const std::string& key) const { return !has(key) || json_[key].is_null(); }
  // Throws for a value that this program has no network for.
  [[noreturn]] void unsupported(const std::string& key, const std::string& supported) const;

 private:
  PublicConfig(std::string file, std::string prefix, nlohmann::json json)
      : file_(std::move(file)), prefix_(std::move(prefix)), json_(std::move(json)) {}
  [[noreturn]] void refuse(const std::string& key, const std::string& what) const;

  std::string file_, prefix_;
  nlohmann::json json_;  // an object
};

// Sizes that no published model goes beyond. What weights take is bounded by their file, not by these.
inline constexpr NumberRange kLayers{.minimum = 1, .maximum = 1000}, kHeads{.minimum = 1, .maximum = 1024},
    kWidths{.minimum = 1, .maximum = 65536}, kVocabularies{.minimum = 1, .maximum = 1 << 24},
    kEpsilons{.minimum = 0, .maximum = 1}, kThetas{.minimum = 1, .maximum = 1e12};

}  // namespace omni::model
