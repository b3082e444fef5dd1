#include "options.h"

#include <algorithm>
#include <cstdint>

#include "omni/core/config.h"
#include "omni/core/error.h"
#include "omni/core/text_format.h"

namespace omni::tools {
namespace {

std::string with_range(const std::string& help, const NumberRange& range) {
  const std::string limits = range_text(range);
  return limits.empty() ? help : help + " (" + limits + ")";
}

// Of an option with several spellings the first.
std::string first_name(const std::string& names) { return names.substr(0, names.find(',')); }

template <class Number>
Number checked_number(const std::string& names, const std::string& text, const NumberRange& range) {
  Number value = 0;
  const std::string mistake = read_number(text, range, value);
  if (!mistake.empty()) fail(ErrorKind::usage, first_name(names), " ", mistake);
  return value;
}

}  // namespace

template <class Number>
CLI::Option* add_number(CLI::App& command, const std::string& name, Number& value, const NumberRange& range,
                        const std::string& help) {
  const auto read = [name, range, &value](const CLI::results_t& given) {
    value = checked_number<Number>(name, given.back(), range);
    return true;
  };
  CLI::Option* option = command.add_option(name, CLI::callback_t(read), with_range(help, range), true,
                                           [&value] { return shortest(value); });
  return option->type_name("NUMBER");
}

template CLI::Option* add_number(CLI::App&, const std::string&, int&, const NumberRange&, const std::string&);
template CLI::Option* add_number(CLI::App&, const std::string&, std::int64_t&, const NumberRange&,
                                 const std::string&);
template CLI::Option* add_number(CLI::App&, const std::string&, std::uint64_t&, const NumberRange&,
                                 const std::string&);
template CLI::Option* add_number(CLI::App&, const std::string&, float&, const NumberRange&,
                                 const std::string&);
template CLI::Option* add_number(CLI::App&, const std::string&, double&, const NumberRange&,
                                 const std::string&);

CLI::Option* add_numbers(CLI::App& command, const std::string& name, std::vector<double>& values,
                         const NumberRange& range, const std::string& help) {
  const auto read = [name, range, &values](const CLI::results_t& given) {
    values.clear();
    for (const std::string& text : given) values.push_back(checked_number<double>(name, text, range));
    return true;
  };
  return command.add_option(name, CLI::callback_t(read), with_range(help, range))
      ->type_name("NUMBER")
      ->expected(1, CLI::detail::expected_max_vector_size);
}

CLI::Option* add_overrides(CLI::App& command, std::vector<std::string>& overrides,
                           const std::string& example) {
  return command.add_option("--set", overrides, "override a key: --set " + example)->take_all()->expected(1);
}

CLI::Option* add_choice(CLI::App& command, const std::string& name, std::string& value,
                        const std::vector<std::string>& words, const std::string& help) {
  const auto read = [name, words, &value](const CLI::results_t& given) {
    const std::string& word = given.back();
    if (std::find(words.begin(), words.end(), word) == words.end()) {
      const std::string nearest = nearest_word(word, words);
      fail(ErrorKind::usage, first_name(name), " is '", word, "'; it must be one of ",
           CLI::detail::join(words, ", "), nearest.empty() ? "" : ". Did you mean '" + nearest + "'?");
    }
    value = word;
    return true;
  };
  CLI::Option* option =
      command.add_option(name, CLI::callback_t(read), help, true, [&value] { return value; });
  return option->type_name(CLI::detail::join(words, "|"));
}

}  // namespace omni::tools
