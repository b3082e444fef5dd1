#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "omni/core/number.h"

namespace omni {

// One description of a config struct serves reading, printing and documenting it:
//
//   void describe(ConfigVisitor& v, OptimizerConfig& c) {
//     v.number("learning_rate", c.learning_rate, {.minimum = 0});
//     v.choice("schedule", c.schedule, {"cosine", "constant"});
//     v.section("adam", [&](ConfigVisitor& s) { describe(s, c.adam); });
//   }
//
// Reading: an absent key keeps the struct's value; an unknown key, a wrong type or a value out of range
// throws Error(usage) with file, line, column and the nearest valid key.
class ConfigVisitor {
 public:
  virtual ~ConfigVisitor() = default;

  virtual void number(std::string_view key, double& value, NumberRange range = {}) = 0;
  virtual void integer(std::string_view key, std::int64_t& value, NumberRange range = {}) = 0;
  virtual void flag(std::string_view key, bool& value) = 0;
  virtual void text(std::string_view key, std::string& value) = 0;
  virtual void choice(std::string_view key, std::string& value, std::vector<std::string> allowed) = 0;
  virtual void integers(std::string_view key, std::vector<std::int64_t>& value, NumberRange range = {}) = 0;
  virtual void numbers(std::string_view key, std::vector<double>& value, NumberRange range = {}) = 0;
  // An item outside `allowed` is an error; empty: any text.
  virtual void texts(std::string_view key, std::vector<std::string>& value,
                     std::vector<std::string> allowed = {}) = 0;
  // A nested mapping with fixed keys.
  virtual void section(std::string_view key, const std::function<void(ConfigVisitor&)>& body) = 0;
  // A list of mappings. Reading calls resize(n) first; body is then called once per item.
  virtual void list(std::string_view key, std::size_t current_size,
                    const std::function<void(std::size_t)>& resize,
                    const std::function<void(ConfigVisitor&, std::size_t)>& body) = 0;
  // A mapping with free keys (say, task name -> weight), kept in file order. A key outside `allowed` is an
  // error; empty: any key.
  virtual void named_numbers(std::string_view key, std::vector<std::pair<std::string, double>>& value,
                             NumberRange range = {}, std::vector<std::string> allowed = {}) = 0;

  // Keys that came after files without them had been written and fingerprinted: not written where they have
  // their defaults, so that such a file, read and written again, is the same.
  virtual void added_later(bool at_default, const std::function<void(ConfigVisitor&)>& body);

  // int fields without a temporary at each call site.
  void integer(std::string_view key, int& value, NumberRange range = {});
};

// A parsed YAML file with command-line overrides.
class ConfigFile {
 public:
  // Throws Error(io) or Error(usage). Overrides read "a.b=c"; the value is parsed as YAML.
  static ConfigFile load(const std::filesystem::path& path, const std::vector<std::string>& overrides = {});
  // The same from memory; `name` appears in errors.
  static ConfigFile parse(const std::string& text, const std::string& name,
                          const std::vector<std::string>& overrides = {});
  ~ConfigFile();
  ConfigFile(ConfigFile&&) noexcept;
  ConfigFile& operator=(ConfigFile&&) noexcept;

  // Runs the description over the whole file, whose every key it must name. Throws Error(usage).
  void read(const std::function<void(ConfigVisitor&)>& description) const;
  // As given to load(); of parsed text, its name.
  const std::filesystem::path& path() const;

 private:
  ConfigFile();
  struct State;
  std::unique_ptr<State> state_;
};

// Reads a file that the program itself wrote, such as a tokenizer's. Nobody is expected to edit those: a
// mistake in one is Error(input), as in any other damaged file. Throws Error(io) where it cannot be read.
void read_stored_config(const std::filesystem::path& path,
                        const std::function<void(ConfigVisitor&)>& description);

// The resolved values as YAML, in the order of the description. Reading it back gives the same values.
std::string config_to_yaml(const std::function<void(ConfigVisitor&)>& description);

// The candidate with the smallest edit distance to `word`, or "" if none is close. For error messages.
std::string nearest_word(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace omni
