#include "omni/core/config_values.h"

#include "omni/core/error.h"
#include "omni/core/text_format.h"

namespace omni {
namespace {

class ValueCollector final : public ConfigVisitor {
 public:
  using ConfigVisitor::integer;
  ValueCollector(std::vector<ConfigValue>& values, std::string path)
      : values_(values), path_(std::move(path)) {}

  void number(std::string_view key, double& value, NumberRange) override { add(key, shortest(value)); }
  void integer(std::string_view key, std::int64_t& value, NumberRange) override {
    add(key, std::to_string(value));
  }
  void flag(std::string_view key, bool& value) override { add(key, value ? "true" : "false"); }
  void text(std::string_view key, std::string& value) override { add(key, value); }
  void choice(std::string_view key, std::string& value, std::vector<std::string>) override {
    add(key, value);
  }
  void integers(std::string_view key, std::vector<std::int64_t>& value, NumberRange) override {
    add_list(key, value, [](std::int64_t item) { return std::to_string(item); });
  }
  void numbers(std::string_view key, std::vector<double>& value, NumberRange) override {
    add_list(key, value, [](double item) { return shortest(item); });
  }
  void texts(std::string_view key, std::vector<std::string>& value, std::vector<std::string>) override {
    add_list(key, value, [](const std::string& item) { return item; });
  }
  void section(std::string_view key, const std::function<void(ConfigVisitor&)>& body) override {
    ValueCollector below(values_, full(key));
    body(below);
  }
  void list(std::string_view key, std::size_t current_size, const std::function<void(std::size_t)>&,
            const std::function<void(ConfigVisitor&, std::size_t)>& body) override {
    for (std::size_t i = 0; i < current_size; ++i) {
      ValueCollector below(values_, concat(full(key), "[", i, "]"));
      body(below, i);
    }
  }
  void named_numbers(std::string_view key, std::vector<std::pair<std::string, double>>& value, NumberRange,
                     std::vector<std::string>) override {
    std::string items;
    for (const auto& [name, number] : value)
      items += concat(items.empty() ? "" : ", ", name, ": ", shortest(number));
    add(key, "{" + items + "}");
  }

 private:
  void add(std::string_view key, std::string text) { values_.push_back({full(key), std::move(text)}); }
  template <class Item, class Text>
  void add_list(std::string_view key, const std::vector<Item>& list, const Text& text_of) {
    std::string items;
    for (const Item& item : list) items += (items.empty() ? "" : ", ") + text_of(item);
    add(key, "[" + items + "]");
  }
  std::string full(std::string_view key) const {
    return path_.empty() ? std::string(key) : concat(path_, ".", key);
  }
  std::vector<ConfigValue>& values_;
  std::string path_;
};

}  // namespace

std::vector<ConfigValue> config_values(const std::function<void(ConfigVisitor&)>& description) {
  std::vector<ConfigValue> values;
  ValueCollector collector(values, "");
  description(collector);
  return values;
}

bool is_within(std::string_view key, std::string_view section) {
  return key.starts_with(section) &&
         (key.size() == section.size() || key[section.size()] == '.' || key[section.size()] == '[');
}

}  // namespace omni
