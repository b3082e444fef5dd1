#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text_regex.h"

namespace omni::tokenizers {

// GPT-2's pattern (Radford et al. 2019): contractions, words, numbers and symbols, each with one leading
// space.
inline constexpr std::string_view gpt2_pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

// Cuts a normalised text into the pieces that merges never cross.
class PreTokeniser {
 public:
  // isolated: matches and the gaps between them; matches: matches alone; gaps: gaps alone.
  enum class Keep { isolated, matches, gaps };
  void add_split(Regex pattern, Keep keep);
  void add_prefix_space();  // to every piece that does not start with a space

  std::vector<std::string> operator()(std::string_view text) const;

 private:
  struct Step {
    std::optional<Regex> pattern;  // absent: add a prefix space
    Keep keep = Keep::isolated;
  };
  std::vector<Step> steps_;
};

}  // namespace omni::tokenizers
