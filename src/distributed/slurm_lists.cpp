#include "slurm_lists.h"

#include <charconv>

#include "omni/core/error.h"

namespace omni::distributed {
namespace {

[[noreturn]] void refuse(std::string_view list, std::string_view variable, std::string_view wrong) {
  constexpr std::size_t kShown = 80;
  fail(ErrorKind::usage, "reading the launcher's environment: ", variable, " is '", list.substr(0, kShown),
       list.size() > kShown ? "..." : "", "': ", wrong, ". Set MASTER_ADDR, LOCAL_RANK, RANK and WORLD_SIZE ",
       "to start without it");
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_host_character(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '.' || c == '_';
}

}  // namespace

std::string first_host(std::string_view list, std::string_view variable) {
  std::string host;
  std::size_t at = 0;
  while (at < list.size() && list[at] != ',') {
    if (list[at] != '[') {
      if (!is_host_character(list[at])) refuse(list, variable, "it is no list of hosts");
      host += list[at++];
      continue;
    }
    const std::size_t close = list.find(']', at);
    if (close == std::string_view::npos) refuse(list, variable, "a bracket is not closed");
    const std::string_view numbers = list.substr(at + 1, close - at - 1);
    std::size_t digits = 0;
    while (digits < numbers.size() && is_digit(numbers[digits])) ++digits;
    const bool ends = digits == numbers.size() || numbers[digits] == '-' || numbers[digits] == ',';
    if (digits == 0 || !ends) refuse(list, variable, "a bracket must hold numbers and ranges");
    host += numbers.substr(0, digits);
    at = close + 1;
  }
  constexpr std::size_t kLongestName = 253;  // of the domain name system
  if (host.empty() || host.size() > kLongestName) refuse(list, variable, "it names no first host");
  return host;
}

int count_of_node(std::string_view list, int node, std::string_view variable) {
  const auto number = [&](std::size_t& at) {
    int value = 0;
    const char* const begin = list.data() + at;
    const auto [end, error] = std::from_chars(begin, list.data() + list.size(), value);
    if (error != std::errc() || value < 1) refuse(list, variable, "it is no list such as 4(x2),3");
    at += static_cast<std::size_t>(end - begin);
    return value;
  };
  std::size_t at = 0;
  for (int first = 0;;) {
    const int count = number(at);
    int times = 1;
    if (list.substr(at).starts_with("(x")) {
      at += 2;
      times = number(at);
      if (at >= list.size() || list[at] != ')') refuse(list, variable, "a bracket is not closed");
      ++at;
    }
    if (node - first < times) return count;
    first += times;
    if (at >= list.size()) refuse(list, variable, concat("it has no entry for node ", node));
    if (list[at++] != ',') refuse(list, variable, "it is no list such as 4(x2),3");
  }
}

}  // namespace omni::distributed
