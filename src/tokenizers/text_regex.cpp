#define PCRE2_CODE_UNIT_WIDTH 8
#include "text_regex.h"

#include <pcre2.h>

#include <array>
#include <cstring>

#include "omni/core/error.h"

namespace omni::tokenizers {
namespace {

// PCRE2's own \s also holds U+180E, which lost its White_Space property in Unicode 6.3.
constexpr std::string_view white_space =
    R"(\x{9}-\x{D}\x{20}\x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000})";

std::string translate(std::string_view pattern) {
  std::string out;
  bool in_class = false;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c == '\\' && i + 1 < pattern.size()) {
      const char escaped = pattern[++i];
      if (escaped == 's') {
        out += in_class ? std::string(white_space) : concat("[", white_space, "]");
      } else if (escaped == 'S' && !in_class) {
        out += concat("[^", white_space, "]");
      } else {
        out += {c, escaped};
      }
      continue;
    }
    if (c == '[' && !in_class) {
      in_class = true;
    } else if (c == ']') {
      in_class = false;
    } else if (in_class && (c == '[' || pattern.substr(i, 2) == "&&") && pattern.substr(i, 2) != "[:") {
      fail(ErrorKind::input, "cannot use the regular expression `", pattern,
           "`: nested character classes and intersections are not supported");
    }
    if (in_class && pattern.substr(i, 2) == "[:") {
      const std::size_t end = pattern.find(":]", i);
      if (end != std::string_view::npos) {
        out += pattern.substr(i, end + 2 - i);
        i = end + 1;
        continue;
      }
    }
    out.push_back(c);
  }
  return out;
}

std::string message_of(int error_code) {
  std::array<PCRE2_UCHAR, 160> buffer{};
  pcre2_get_error_message(error_code, buffer.data(), buffer.size());
  return reinterpret_cast<const char*>(buffer.data());
}

using MatchData = std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)>;

}  // namespace

struct Regex::Code {
  std::unique_ptr<pcre2_code, decltype(&pcre2_code_free)> compiled{nullptr, &pcre2_code_free};
  std::string pattern;
};

Regex::Regex(std::string_view pattern) : code_(std::make_unique<Code>()) {
  code_->pattern = pattern;
  if (pattern.size() > 10'000)
    fail(ErrorKind::input, "cannot use a regular expression of over 10,000 characters");
  const std::string translated = translate(pattern);
  int error = 0;
  PCRE2_SIZE offset = 0;
  code_->compiled.reset(pcre2_compile(
      reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
      PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C, &error, &offset, nullptr));
  if (!code_->compiled) {
    fail(ErrorKind::input, "cannot compile the regular expression `", pattern, "`: ", message_of(error),
         " (at byte ", offset, " of `", translated, "`)");
  }
  pcre2_jit_compile(code_->compiled.get(), PCRE2_JIT_COMPLETE);  // without JIT, matching is only slower
}

Regex::~Regex() = default;
Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;

std::vector<Regex::Span> Regex::find_all(std::string_view text) const {
  std::vector<Span> spans;
  const MatchData match(pcre2_match_data_create(1, nullptr), &pcre2_match_data_free);
  const PCRE2_SIZE* const bounds = pcre2_get_ovector_pointer(match.get());
  const auto subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  for (std::size_t at = 0; at < text.size();) {
    int found = pcre2_match(code_->compiled.get(), subject, text.size(), at, 0, match.get(), nullptr);
    if (found == PCRE2_ERROR_JIT_STACKLIMIT) {
      found =
          pcre2_match(code_->compiled.get(), subject, text.size(), at, PCRE2_NO_JIT, match.get(), nullptr);
    }
    if (found == PCRE2_ERROR_NOMATCH) break;
    if (found < 0) {
      fail(ErrorKind::input, "cannot split a text of ", text.size(), " bytes with the regular expression `",
           code_->pattern, "`: ", message_of(found));
    }
    if (bounds[1] > bounds[0] && bounds[0] >= at) {
      spans.push_back({bounds[0], bounds[1]});
      at = bounds[1];
    } else {
      ++at;
      while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) ++at;
    }
  }
  return spans;
}

std::string quote_regex(std::string_view literal) {
  std::string out;
  for (const char c : literal) {
    if (std::strchr("\\^$.[]|()?*+{}-#&", c) && c != '\0') out.push_back('\\');
    out.push_back(c);
  }
  return out;
}

}  // namespace omni::tokenizers
