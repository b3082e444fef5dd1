#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace omni::test {

// Whether a page is well-formed: tags closed in order, attributes quoted, entities known.

namespace detail {

inline std::string text_problem(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '&') continue;
    const std::string_view entity = text.substr(i, text.find(';', i) + 1 - i);
    static const std::set<std::string_view> known = {"&lt;", "&gt;", "&amp;", "&quot;", "&#39;"};
    if (!known.contains(entity)) return "a bare & at \"" + std::string(text.substr(i, 20)) + "\"";
  }
  return "";
}

inline std::string tag_problem(std::string_view tag) {
  bool quoted = false;
  for (std::size_t i = 0; i < tag.size(); ++i) {
    if (tag[i] == '"') quoted = !quoted;
    if (tag[i] == '=' && !quoted && (i + 1 >= tag.size() || tag[i + 1] != '"')) {
      return "an unquoted attribute in <" + std::string(tag.substr(0, 60)) + ">";
    }
  }
  return quoted ? "an open quote in <" + std::string(tag.substr(0, 60)) + ">" : "";
}

}  // namespace detail

// "" if well-formed, else what is wrong.
inline std::string xml_problem(std::string_view page) {
  if (page.starts_with("<!DOCTYPE html>")) page.remove_prefix(15);
  std::vector<std::string> open;
  for (std::size_t i = 0; i < page.size();) {
    const std::size_t begin = page.find('<', i);
    const std::string problem = detail::text_problem(page.substr(i, begin == page.npos ? begin : begin - i));
    if (!problem.empty() && (open.empty() || open.back() != "style")) return problem;
    if (begin == page.npos) break;
    const std::size_t end = page.find('>', begin);
    if (end == page.npos) return "an open tag at the end";
    const std::string_view tag = page.substr(begin + 1, end - begin - 1);
    const std::string wrong = detail::tag_problem(tag);
    if (!wrong.empty()) return wrong;
    if (tag.starts_with("/")) {
      if (open.empty() || open.back() != tag.substr(1))
        return "</" + std::string(tag.substr(1)) + "> closes nothing";
      open.pop_back();
    } else if (!tag.ends_with("/")) {
      open.emplace_back(tag.substr(0, tag.find_first_of(" \n")));
    }
    i = end + 1;
    if (open.empty() || open.back() != "script") continue;
    i = page.find("</script>", i);  // its text is not the page's
    if (i == page.npos) return "<script> is not closed";
  }
  return open.empty() ? "" : "<" + open.back() + "> is not closed";
}

}  // namespace omni::test
