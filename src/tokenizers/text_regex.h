#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace omni::tokenizers {

// A Unicode regular expression with the meaning that Hugging Face's files give it (Oniguruma: \s is
// White_Space). Compiled once with PCRE2's JIT; const use is thread-safe.
class Regex {
 public:
  struct Span {
    std::size_t begin, end;
  };
  explicit Regex(std::string_view pattern);  // throws Error(input) naming the pattern and the place
  ~Regex();
  Regex(Regex&&) noexcept;
  Regex& operator=(Regex&&) noexcept;

  // The non-empty matches from left to right. Invalid UTF-8 never matches. Throws Error(input) where the
  // engine gives up on a text.
  std::vector<Span> find_all(std::string_view text) const;

 private:
  struct Code;
  std::unique_ptr<Code> code_;
};

std::string quote_regex(std::string_view literal);

}  // namespace omni::tokenizers
