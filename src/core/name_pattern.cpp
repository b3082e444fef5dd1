#include "omni/core/name_pattern.h"

#include <algorithm>

#include "omni/core/config.h"
#include "omni/core/error.h"

namespace omni {
namespace {

std::string last_part(const std::string& name) { return name.substr(name.rfind('.') + 1); }

[[noreturn]] void refuse(const std::string& pattern, const std::vector<std::string>& names,
                         std::string_view key) {
  constexpr std::size_t kShown = 6;  // names of different endings
  std::vector<std::string> endings, candidates = names;
  std::string shown;
  for (const std::string& name : names) {
    const std::string ending = last_part(name);
    if (std::find(endings.begin(), endings.end(), ending) != endings.end()) continue;
    endings.push_back(ending);
    candidates.push_back("*." + ending);
    if (endings.size() <= kShown) shown += (shown.empty() ? "'" : ", '") + name + "'";
  }
  const std::string nearest = nearest_word(pattern, candidates);
  fail(ErrorKind::usage, "'", key, "': the pattern '", pattern, "' matches none of ", names.size(), " names",
       shown.empty() ? "" : ", such as " + shown, nearest.empty() ? "" : ". Did you mean '" + nearest + "'?");
}

}  // namespace

bool matches_pattern(std::string_view pattern, std::string_view name) {
  std::size_t p = 0, n = 0, star = std::string_view::npos, resumed = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resumed = n;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == name[n])) {
      ++p;
      ++n;
    } else if (star != std::string_view::npos) {
      // The last star takes one character more.
      p = star + 1;
      n = ++resumed;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

std::vector<bool> chosen_by_patterns(const std::vector<std::string>& patterns,
                                     const std::vector<std::string>& names, std::string_view key) {
  std::vector<bool> chosen(names.size());
  for (const std::string& pattern : patterns) {
    bool any = false;
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (!matches_pattern(pattern, names[i])) continue;
      any = chosen[i] = true;
    }
    if (!any) refuse(pattern, names, key);
  }
  return chosen;
}

}  // namespace omni
