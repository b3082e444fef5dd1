#include "omni/core/config.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>
#include <set>
#include <type_traits>

#include <yaml-cpp/yaml.h>

#include "omni/core/config_values.h"
#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/text_format.h"

namespace omni {

void ConfigVisitor::added_later(bool, const std::function<void(ConfigVisitor&)>& body) { body(*this); }

void ConfigVisitor::integer(std::string_view key, int& value, NumberRange range) {
  std::int64_t wide = value;
  range.minimum = std::max(range.minimum, static_cast<double>(std::numeric_limits<int>::min()));
  range.maximum = std::min(range.maximum, static_cast<double>(std::numeric_limits<int>::max()));
  integer(key, wide, range);
  value = static_cast<int>(wide);
}

std::string nearest_word(std::string_view word, const std::vector<std::string>& candidates) {
  std::string best;
  std::size_t best_distance = std::max<std::size_t>(2, word.size() / 2) + 1;
  for (const std::string& candidate : candidates) {
    std::vector<std::size_t> row(candidate.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 1; i <= word.size(); ++i) {
      std::size_t diagonal = row[0];
      row[0] = i;
      for (std::size_t j = 1; j <= candidate.size(); ++j) {
        const std::size_t replaced = diagonal + (word[i - 1] == candidate[j - 1] ? 0 : 1);
        diagonal = row[j];
        row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
      }
    }
    if (row.back() < best_distance) {
      best_distance = row.back();
      best = candidate;
    }
  }
  return best;
}

namespace {

// Where values come from, for error messages.
struct ConfigOrigin {
  struct Override {
    std::string key;         // as errors name it: "items[1].rate"
    std::string assignment;  // as it was given: "items.1.rate=2"
  };
  std::string name;
  std::vector<Override> overrides;

  // "stage.yaml:3:7", or the last override that the key or something above it was set by.
  std::string place(const std::string& key, const YAML::Node& node) const {
    for (auto item = overrides.rbegin(); item != overrides.rend(); ++item) {
      if (is_within(key, item->key)) return "--set " + item->assignment;
    }
    const YAML::Mark mark = node.Mark();
    if (mark.is_null()) return name;
    return concat(name, ":", mark.line + 1, ":", mark.column + 1);
  }
};

// Reads one mapping node; knows which keys the description asked for.
class ConfigReader final : public ConfigVisitor {
 public:
  using ConfigVisitor::integer;
  ConfigReader(const ConfigOrigin& origin, const YAML::Node& node, std::string path)
      : origin_(origin), node_(node), path_(std::move(path)) {
    if (!node_.IsNull() && !node_.IsMap()) {
      fail(ErrorKind::usage, origin_.place(path_, node_), ": ",
           path_.empty() ? "the file" : "'" + path_ + "'", " must be a mapping of keys to values");
    }
  }

  void number(std::string_view key, double& value, NumberRange range) override {
    if (const YAML::Node node = find(key)) value = checked_number<double>(key, node, range);
  }
  void integer(std::string_view key, std::int64_t& value, NumberRange range) override {
    if (const YAML::Node node = find(key)) value = checked_number<std::int64_t>(key, node, range);
  }
  void flag(std::string_view key, bool& value) override {
    const YAML::Node node = find(key);
    if (!node) return;
    const std::string text = scalar(key, node, "true or false");
    if (text != "true" && text != "false") wrong_type(key, node, "true or false");
    value = text == "true";
  }
  void text(std::string_view key, std::string& value) override {
    if (const YAML::Node node = find(key)) value = scalar(key, node, "a text");
  }
  void choice(std::string_view key, std::string& value, std::vector<std::string> allowed) override {
    const YAML::Node node = find(key);
    if (!node) return;
    value = chosen_word(key, node, allowed);
  }
  void integers(std::string_view key, std::vector<std::int64_t>& value, NumberRange range) override {
    read_sequence(key, value,
                  [&](const YAML::Node& item) { return checked_number<std::int64_t>(key, item, range); });
  }
  void numbers(std::string_view key, std::vector<double>& value, NumberRange range) override {
    read_sequence(key, value,
                  [&](const YAML::Node& item) { return checked_number<double>(key, item, range); });
  }
  void texts(std::string_view key, std::vector<std::string>& value,
             std::vector<std::string> allowed) override {
    read_sequence(key, value, [&](const YAML::Node& item) {
      return allowed.empty() ? scalar(key, item, "a text") : chosen_word(key, item, allowed);
    });
  }
  void section(std::string_view key, const std::function<void(ConfigVisitor&)>& body) override {
    const YAML::Node node = find(key);
    ConfigReader reader(origin_, node ? node : YAML::Node(YAML::NodeType::Null), full(key));
    body(reader);
    reader.finish();
  }
  void list(std::string_view key, std::size_t, const std::function<void(std::size_t)>& resize,
            const std::function<void(ConfigVisitor&, std::size_t)>& body) override {
    const YAML::Node node = find(key);
    if (!node) return;
    if (!node.IsSequence()) wrong_type(key, node, "a list");
    resize(node.size());
    for (std::size_t i = 0; i < node.size(); ++i) {
      ConfigReader reader(origin_, node[i], concat(full(key), "[", i, "]"));
      body(reader, i);
      reader.finish();
    }
  }
  void named_numbers(std::string_view key, std::vector<std::pair<std::string, double>>& value,
                     NumberRange range, std::vector<std::string> allowed) override {
    const YAML::Node node = find(key);
    if (!node) return;
    if (!node.IsMap()) wrong_type(key, node, "a mapping of names to numbers");
    value.clear();
    for (const auto& item : node) {
      const std::string item_key = plain_key(item.first);
      const bool twice = std::any_of(value.begin(), value.end(),
                                     [&](const auto& earlier) { return earlier.first == item_key; });
      if (twice) stands_twice(concat(full(key), ".", item_key), item.first);
      if (!allowed.empty() && std::find(allowed.begin(), allowed.end(), item_key) == allowed.end())
        unknown_key(concat(full(key), ".", item_key), item_key, item.first, allowed);
      value.emplace_back(item_key, checked_number<double>(concat(key, ".", item_key), item.second, range));
    }
  }

  void finish() const {
    if (!node_.IsMap()) return;
    std::set<std::string> seen;
    for (const auto& item : node_) {
      const std::string key = plain_key(item.first);
      if (!seen.insert(key).second) stands_twice(full(key), item.first);
      if (std::find(asked_.begin(), asked_.end(), key) == asked_.end())
        unknown_key(full(key), key, item.first, asked_);
    }
  }

 private:
  YAML::Node find(std::string_view key) {
    asked_.emplace_back(key);
    if (!node_.IsMap()) return YAML::Node(YAML::NodeType::Undefined);
    // A const node gives no new entry for a missing key.
    const YAML::Node& fixed = node_;
    return fixed[std::string(key)];
  }
  std::string plain_key(const YAML::Node& key) const {
    if (!key.IsScalar()) fail(ErrorKind::usage, origin_.place(path_, key), ": keys must be plain words");
    return key.Scalar();
  }
  [[noreturn]] void unknown_key(const std::string& key, std::string_view word, const YAML::Node& node,
                                const std::vector<std::string>& known) const {
    fail(ErrorKind::usage, origin_.place(key, node), ": unknown key '", key, "'", suggestion(word, known));
  }
  std::string chosen_word(std::string_view key, const YAML::Node& node,
                          const std::vector<std::string>& allowed) const {
    const std::string chosen = scalar(key, node, "a text");
    if (std::find(allowed.begin(), allowed.end(), chosen) != allowed.end()) return chosen;
    std::string list;
    for (const std::string& word : allowed) list += (list.empty() ? "" : ", ") + word;
    const std::string nearest = nearest_word(chosen, allowed);
    fail(ErrorKind::usage, origin_.place(full(key), node), ": '", full(key), "' is '", chosen,
         "'. It must be one of: ", list,
         nearest.empty() ? std::string() : concat(". Did you mean '", nearest, "'?"));
  }
  [[noreturn]] void stands_twice(const std::string& key, const YAML::Node& node) const {
    fail(ErrorKind::usage, origin_.place(key, node), ": the key '", key, "' stands here twice");
  }
  std::string full(std::string_view key) const {
    return path_.empty() ? std::string(key) : concat(path_, ".", key);
  }
  static std::string suggestion(std::string_view word, const std::vector<std::string>& candidates) {
    const std::string nearest = nearest_word(word, candidates);
    if (!nearest.empty()) return concat(". Did you mean '", nearest, "'?");
    std::string list;
    for (const std::string& candidate : candidates) list += (list.empty() ? "" : ", ") + candidate;
    return concat(". Valid here: ", list);
  }
  [[noreturn]] void wrong_type(std::string_view key, const YAML::Node& node, std::string_view wanted) const {
    const std::string got = node.IsScalar()     ? concat("'", node.Scalar(), "'")
                            : node.IsSequence() ? "a list"
                            : node.IsMap()      ? "a mapping"
                                                : "nothing";
    fail(ErrorKind::usage, origin_.place(full(key), node), ": '", full(key), "' must be ", wanted, ", not ",
         got);
  }
  std::string scalar(std::string_view key, const YAML::Node& node, std::string_view wanted) const {
    if (!node.IsScalar()) wrong_type(key, node, wanted);
    return node.Scalar();
  }
  template <class Number>
  Number checked_number(std::string_view key, const YAML::Node& node, const NumberRange& range) const {
    Number value = 0;
    const std::string text = scalar(key, node, std::is_integral_v<Number> ? "a whole number" : "a number");
    const std::string mistake = read_number(text, range, value);
    if (!mistake.empty())
      fail(ErrorKind::usage, origin_.place(full(key), node), ": '", full(key), "' ", mistake);
    return value;
  }
  template <class T, class Read>
  void read_sequence(std::string_view key, std::vector<T>& value, const Read& read) {
    const YAML::Node node = find(key);
    if (!node) return;
    if (!node.IsSequence()) wrong_type(key, node, "a list");
    value.clear();
    for (const YAML::Node& item : node) value.push_back(read(item));
  }

  const ConfigOrigin& origin_;
  YAML::Node node_;
  std::string path_;
  std::vector<std::string> asked_;
};

class ConfigWriter final : public ConfigVisitor {
 public:
  using ConfigVisitor::integer;
  explicit ConfigWriter(YAML::Emitter& out) : out_(out) {}
  void added_later(bool at_default, const std::function<void(ConfigVisitor&)>& body) override {
    if (!at_default) body(*this);
  }
  void number(std::string_view key, double& value, NumberRange) override { emit_key(key) << shortest(value); }
  void integer(std::string_view key, std::int64_t& value, NumberRange) override { emit_key(key) << value; }
  void flag(std::string_view key, bool& value) override { emit_key(key) << value; }
  void text(std::string_view key, std::string& value) override { emit_key(key) << value; }
  void choice(std::string_view key, std::string& value, std::vector<std::string>) override {
    emit_key(key) << value;
  }
  void integers(std::string_view key, std::vector<std::int64_t>& value, NumberRange) override {
    emit_key(key) << YAML::Flow << value;
  }
  void numbers(std::string_view key, std::vector<double>& value, NumberRange) override {
    emit_key(key) << YAML::Flow << YAML::BeginSeq;
    for (const double item : value) out_ << shortest(item);
    out_ << YAML::EndSeq;
  }
  void texts(std::string_view key, std::vector<std::string>& value, std::vector<std::string>) override {
    emit_key(key) << YAML::Flow << value;
  }
  void section(std::string_view key, const std::function<void(ConfigVisitor&)>& body) override {
    emit_key(key) << YAML::BeginMap;
    body(*this);
    out_ << YAML::EndMap;
  }
  void list(std::string_view key, std::size_t current_size, const std::function<void(std::size_t)>&,
            const std::function<void(ConfigVisitor&, std::size_t)>& body) override {
    emit_key(key) << YAML::BeginSeq;
    for (std::size_t i = 0; i < current_size; ++i) {
      out_ << YAML::BeginMap;
      body(*this, i);
      out_ << YAML::EndMap;
    }
    out_ << YAML::EndSeq;
  }
  void named_numbers(std::string_view key, std::vector<std::pair<std::string, double>>& value, NumberRange,
                     std::vector<std::string>) override {
    emit_key(key) << YAML::BeginMap;
    for (const auto& [name, number] : value) emit_key(name) << shortest(number);
    out_ << YAML::EndMap;
  }

 private:
  YAML::Emitter& emit_key(std::string_view key) {
    return out_ << YAML::Key << std::string(key) << YAML::Value;
  }
  YAML::Emitter& out_;
};

// Returns the key that was set, as errors name it.
std::string apply_override(const YAML::Node& root, const std::string& assignment) {
  const auto equals = assignment.find('=');
  if (equals == std::string::npos || equals == 0) {
    fail(ErrorKind::usage, "--set ", assignment,
         ": it must read key=value, such as --set schedule.peak_learning_rate=1e-3");
  }
  YAML::Node value;
  try {
    value = YAML::Load(assignment.substr(equals + 1));
  } catch (const YAML::Exception& error) {
    fail(ErrorKind::usage, "--set ", assignment, ": the value is not YAML: ", error.msg);
  }
  YAML::Node node = root;
  std::string path;
  std::size_t start = 0;
  while (true) {
    const auto dot = assignment.find('.', start);
    const bool last = dot == std::string::npos || dot > equals;
    const std::string key = assignment.substr(start, (last ? equals : dot) - start);
    if (key.empty()) fail(ErrorKind::usage, "--set ", assignment, ": a key is empty");
    if (node.IsSequence()) {
      std::size_t index = 0;
      const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), index);
      if (error != std::errc() || end != key.data() + key.size() || index >= node.size()) {
        fail(ErrorKind::usage, "--set ", assignment, ": '", key, "' is not an item of a list of ",
             node.size());
      }
      path += concat("[", index, "]");
      if (last) {
        node[index] = value;
        return path;
      }
      node.reset(node[index]);
    } else {
      if (node.IsScalar())
        fail(ErrorKind::usage, "--set ", assignment, ": '", key, "' stands below a plain value");
      path += path.empty() ? key : "." + key;
      if (last) {
        node[key] = value;
        return path;
      }
      if (!node[key]) node[key] = YAML::Node(YAML::NodeType::Map);
      node.reset(node[key]);
    }
    start = dot + 1;
  }
}

}  // namespace

struct ConfigFile::State {
  std::filesystem::path path;
  ConfigOrigin origin;
  YAML::Node root;
};

ConfigFile::ConfigFile() : state_(std::make_unique<State>()) {}
ConfigFile::~ConfigFile() = default;
ConfigFile::ConfigFile(ConfigFile&&) noexcept = default;
ConfigFile& ConfigFile::operator=(ConfigFile&&) noexcept = default;
const std::filesystem::path& ConfigFile::path() const { return state_->path; }

ConfigFile ConfigFile::load(const std::filesystem::path& path, const std::vector<std::string>& overrides) {
  ConfigFile file = parse(read_file_text(path, 16u << 20), path.string(), overrides);
  file.state_->path = path;
  return file;
}

ConfigFile ConfigFile::parse(const std::string& text, const std::string& name,
                             const std::vector<std::string>& overrides) {
  ConfigFile file;
  file.state_->origin.name = name;
  file.state_->path = name;
  try {
    file.state_->root = YAML::Load(text);
  } catch (const YAML::Exception& error) {
    fail(ErrorKind::usage, name, ":", error.mark.line + 1, ":", error.mark.column + 1,
         ": not valid YAML: ", error.msg);
  }
  if (file.state_->root.IsNull()) file.state_->root = YAML::Node(YAML::NodeType::Map);
  if (!file.state_->root.IsMap())
    fail(ErrorKind::usage, name, ": the file must be a mapping of keys to values");
  for (const std::string& assignment : overrides)
    file.state_->origin.overrides.push_back({apply_override(file.state_->root, assignment), assignment});
  return file;
}

void ConfigFile::read(const std::function<void(ConfigVisitor&)>& description) const {
  ConfigReader reader(state_->origin, state_->root, "");
  description(reader);
  reader.finish();
}

void read_stored_config(const std::filesystem::path& path,
                        const std::function<void(ConfigVisitor&)>& description) {
  try {
    ConfigFile::load(path).read(description);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::usage) throw;
    fail(ErrorKind::input, error.what(), ". The file is damaged or from another version");
  }
}

std::string config_to_yaml(const std::function<void(ConfigVisitor&)>& description) {
  YAML::Emitter out;
  out << YAML::BeginMap;
  ConfigWriter writer(out);
  description(writer);
  out << YAML::EndMap;
  ensure(out.good(), "writing YAML: ", out.GetLastError());
  return std::string(out.c_str()) + "\n";
}

}  // namespace omni
